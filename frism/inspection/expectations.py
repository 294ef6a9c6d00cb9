"""Say in words what to expect of a merge, from what was measured and from what papers measured before."""

from typing import TYPE_CHECKING, Any

from frism.checkpoints.checkpoint import Checkpoint
from frism.files import read_json
from frism.triples.triple import Triple
from frism.triples.vocabularies import quote_token, read_vocabulary

if TYPE_CHECKING:
    from frism.inspection.alignment import Norms, TaskVectorNorms

# Donors trained by reinforcement alone differ from their base in few stored values (arXiv 2606.18521).
_SPARSE = 0.5
_ALIGNED, _FAR, _NEAR = 0.1, 3.0, 0.3
_SPECIAL = ("bos_token", "eos_token", "pad_token")


def describe_expectations(triple: Triple, vectors: "TaskVectorNorms") -> list[str]:
    """Return the sentences of the page "what to expect", the most decisive first."""
    total = vectors.total
    return [
        *_describe_sizes(total),
        *_describe_changed(total),
        *_describe_rank(total),
        *_describe_overlap(vectors),
        *_describe_rotary(triple),
        *compare_chat(triple),
    ]


def _describe_sizes(total: "Norms") -> list[str]:
    if not total.tau_vlm or not total.tau_lrm:
        return []
    ratio = total.tau_lrm / total.tau_vlm
    sentence = f"R moved {ratio:.2g} times as far from B as V did (|tau_V| / |tau_R| = {1 / ratio:.2g})."
    if ratio > _FAR:
        sentence += (
            " At full strength R's change outweighs what made V see: expect perception to fall early, and"
            " look at strengths well below 1 first (closed forms by norms, as FRANK's, arXiv 2505.16151,"
            " would nearly replace V)."
        )
    elif ratio < _NEAR:
        sentence += " R's change is small beside V's: strengths near 1 and above are worth a look."
    return [sentence]


def _describe_changed(total: "Norms") -> list[str]:
    share = f"R differs from B in {100 * total.changed:.3g} % of the entries in scope."
    if total.changed < _SPARSE:
        share += (
            " So sparse a change is typical of reinforcement learning in bfloat16; merges of such donors are"
            " reported to collapse where methods trim or rescale (Sparsity Curse, arXiv 2606.18521): prefer"
            " plain injection or gates to TIES and DARE, and check chain length."
        )
    return [share]


def _describe_rank(total: "Norms") -> list[str]:
    if total.effective_rank is None:
        return []
    share = 100 * total.effective_rank
    words = (
        "a few directions carry it, so low ranks are worth a look"
        if share < 5
        else "no few directions carry it"
    )
    return [f"tau_R's effective rank is {share:.2g} % of a matrix's shorter side: {words}."]


def _describe_overlap(vectors: "TaskVectorNorms") -> list[str]:
    rows = [row for row in vectors.layers if row.layer is not None and row.tau_vlm and row.tau_lrm]
    if not rows:
        return []
    largest = max(rows, key=lambda row: abs(row.cosine))
    sentence = (
        f"tau_R and tau_V overlap most in layer {largest.layer} (cosine {largest.cosine:+.3f};"
        f" {vectors.total.cosine:+.3f} over all)."
    )
    if abs(largest.cosine) < _ALIGNED:
        return [sentence + " They are nearly orthogonal, so adding one leaves the other's length as it is."]
    return [sentence + " What they share is added twice: expect less room for strength there."]


def _describe_rotary(triple: Triple) -> list[str]:
    if not any(difference.rotary for difference in triple.differences()):
        return ["RoPE is alike in all three."]
    return [
        "RoPE differs (see the warning): merging R1's distillation into Qwen2.5-VL, a pair of this kind,"
        " lowered MathVerse by 8.2 points (DRIFT, arXiv 2510.15050); a variant without q_proj and k_proj"
        " shows how much of it is that."
    ]


def compare_chat(triple: Triple) -> list[str]:
    """Say how R's chat template and special tokens differ from V's, which prompts and stops the merge."""
    vlm, lrm = (triple.checkpoints[role] for role in ("vlm", "lrm"))
    sentences = []
    templates = [_read_template(checkpoint) for checkpoint in (vlm, lrm)]
    if templates[1] is None:
        sentences.append("R has no chat template; the merge is asked with V's.")
    elif templates[0] != templates[1]:
        opens = " R's opens a thought by itself, which V's does not." if _opens(templates) else ""
        sentences.append(f"R's chat template is another than V's, with which the merge is asked.{opens}")
    special = [_read_special(checkpoint) for checkpoint in (vlm, lrm)]
    for key in _SPECIAL:
        one, other = special[0].get(key), special[1].get(key)
        if one and other and one != other:
            why = "" if key == "bos_token" else ": R learned to stop or pad with another"
            sentences.append(f"R's {key} is {quote_token(other)}, V's {quote_token(one)}{why}.")
    known, own = read_vocabulary(vlm), read_vocabulary(lrm)
    if known is not None and own is not None:
        lacking = sorted(set(own.added.values()) - set(known.tokens.values()))
        if lacking:
            listed = ", ".join(quote_token(token) for token in lacking[:4])
            sentences.append(
                f"V has no token for {len(lacking)} of R's added tokens ({listed}): do not rely on R's tags."
            )
    return sentences


def _opens(templates: list[str | None]) -> bool:
    return "<think>" in (templates[1] or "") and "<think>" not in (templates[0] or "")


def _read_template(checkpoint: Checkpoint) -> str | None:
    path = checkpoint.folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    for name in ("chat_template.json", "tokenizer_config.json"):
        if (checkpoint.folder / name).is_file():
            template = read_json(checkpoint.folder / name).get("chat_template")
            if template:
                return str(template)
    return None


def _read_special(checkpoint: Checkpoint) -> dict[str, str]:
    path = checkpoint.folder / "tokenizer_config.json"
    content: dict[str, Any] = read_json(path) if path.is_file() else {}
    found = {key: content.get(key) for key in _SPECIAL}
    return {
        key: str(value["content"] if isinstance(value, dict) else value)
        for key, value in found.items()
        if value
    }
