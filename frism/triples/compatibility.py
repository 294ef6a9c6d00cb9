"""Check that three checkpoints belong together: find reasons to refuse them, and differences to report."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from frism.errors import UserError
from frism.triples.facts import Facts
from frism.triples.scopes import split_name
from frism.triples.tower import Tower
from frism.triples.vocabularies import compare_vocabularies, quote_token, read_vocabulary, same_sentencepiece

# A different value of these gives another shape, or silently wrong answers at equal shapes.
_MUST_AGREE = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
)  # fmt: skip
_MAY_DIFFER = (
    "vocab_size", "rms_norm_eps", "hidden_act", "rope_theta", "rope_scaling", "rope_local_theta",
    "tie_word_embeddings",
)  # fmt: skip


def find_refusals(
    towers: Mapping[str, Tower], *, text_receiver: bool = False, vlm_donor: bool = False
) -> Iterator[str]:
    """Yield one sentence per reason not to merge these three, from configs, headers and tokenizers."""
    roles = list(_find_wrong_roles(towers, text_receiver, vlm_donor))
    yield from roles
    if roles:
        return
    facts: dict[str, Facts] = {}
    for role, tower in towers.items():
        try:
            facts[role] = tower.facts
        except UserError as error:
            yield str(error)
    if len(facts) < len(towers):
        return
    kinds = {role: fact.text_type for role, fact in facts.items()}
    if len(set(kinds.values())) > 1:
        yield (
            f"the language models are of different families ({_list_values(kinds)}): use a base and a "
            "reasoning model of V's own family."
        )
        return
    for key in _MUST_AGREE:
        values = {role: getattr(fact, key) for role, fact in facts.items()}
        if len(set(values.values())) > 1:
            yield (
                f"{key} in config.json differs ({_list_values(values)}): "
                "the three models need one architecture."
            )
    widths = {role: width for role in towers if (width := read_head_dim(towers[role])) is not None}
    if len(set(widths.values())) > 1:
        yield f"head_dim differs ({_list_values(widths)}): the three models need one architecture."
    yield from _find_foreign_tokenizers(towers)


@dataclass(frozen=True)
class Difference:
    """Say where the configs differ without forbidding a merge: a key of `Facts`, and a sentence."""

    key: str
    sentence: str

    @property
    def harmless(self) -> bool:
        """Whether it concerns only what no merge touches: rows of the vocabulary, tied heads."""
        return self.key in ("vocab_size", "tie_word_embeddings")

    @property
    def rotary(self) -> bool:
        """Whether it concerns RoPE's frequencies."""
        return self.key in ("rope_theta", "rope_scaling", "rope_local_theta")

    @property
    def explained(self) -> str:
        """Return the sentence, and for RoPE what follows from it."""
        if not self.rotary:
            return self.sentence
        return (
            f"{self.sentence} R's change of q_proj and k_proj was learned against other rotary frequencies"
            " than V's."
        )


def compare_configs(towers: Mapping[str, Tower]) -> list[Difference]:
    """Return where configs differ without forbidding a merge (RoPE base and scaling, epsilon, vocabulary)."""
    differences = []
    for key in _MAY_DIFFER:
        values = {role: getattr(tower.facts, key) for role, tower in towers.items()}
        if len({str(value) for value in values.values()}) > 1:
            differences.append(Difference(key, f"{key} differs: {_list_values(values)}."))
    return differences


def compare_tokenizers(towers: Mapping[str, Tower]) -> list[str]:
    """Return a sentence per tokenizer that could not be compared, or whose tokens differ from V's."""
    notes = []
    vocabularies = {role: read_vocabulary(tower.checkpoint) for role, tower in towers.items()}
    for role in [role for role in vocabularies if role != "vlm"]:
        one, other = vocabularies["vlm"], vocabularies[role]
        if one is None or other is None:
            absent = "vlm" if one is None else role
            files = (towers["vlm"].checkpoint, towers[role].checkpoint)
            if not same_sentencepiece(*files):
                notes.append(
                    f"{absent} has no tokenizer.json or vocab.json: the tokenizers of {role} and V were not "
                    "compared."
                )
            continue
        result = compare_vocabularies(one, other)
        if result.different:
            notes.append(f"{role}: {result.different} ordinary tokens of {result.shared} differ from V's.")
        if result.added:
            first = "; ".join(
                f"{n} is {quote_token(a)} in V, {quote_token(b)} in {role}" for n, a, b in result.added[:3]
            )
            notes.append(f"{role}: {len(result.added)} added tokens differ from V's ({first}).")
    return notes


def read_head_dim(tower: Tower) -> int | None:
    """Return the width of a head as the weights have it: rows of the first query projection over heads."""
    for name, stored in tower.names.items():
        if split_name(name)[1] == "self_attn.q_proj.weight":
            return tower.checkpoint.tensors[stored].shape[0] // tower.facts.num_attention_heads
    return None


def _find_wrong_roles(towers: Mapping[str, Tower], text_receiver: bool, vlm_donor: bool) -> Iterator[str]:
    vlm = towers["vlm"]
    if not vlm.is_vlm and not text_receiver:
        yield (
            f"{vlm.checkpoint.folder} (vlm) is a text model, not a vision-language model "
            f"({vlm.checkpoint.model_type}): check the order, or allow a text receiver (--text-receiver)."
        )
    for role, tower in towers.items():
        if role != "vlm" and tower.is_vlm and not vlm_donor:
            letter = "B" if role == "base" else "R"
            yield (
                f"{tower.checkpoint.folder} ({role}) is a vision-language model "
                f"({tower.checkpoint.model_type}): {letter} must be a text model, so check the order, or "
                "allow its language tower to count (--vlm-donor)."
            )


def _find_foreign_tokenizers(towers: Mapping[str, Tower]) -> Iterator[str]:
    vlm = read_vocabulary(towers["vlm"].checkpoint)
    for role in [role for role in towers if role != "vlm"]:
        other = read_vocabulary(towers[role].checkpoint)
        if vlm is None or other is None:
            continue
        result = compare_vocabularies(vlm, other)
        if not result.same_family:
            number, vlm_token, token = result.example or (0, "", "")
            yield (
                f"the tokenizers of vlm and {role} are of different families ({result.different} of "
                f"{result.shared} shared ids differ; {number} is {quote_token(vlm_token)} and "
                f"{quote_token(token)}): use models that grew from one base."
            )


def _list_values(values: Mapping[str, object]) -> str:
    roles = [*(role for role in ("base", "vlm", "lrm") if role in values), *(r for r in values if " " in r)]
    return ", ".join(f"{role} {values[role]}" for role in roles)
