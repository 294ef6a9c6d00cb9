"""Report on a triple for `frism inspect`: checkpoints, fates, task vectors, costs and a verdict."""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from frism.errors import UserError
from frism.inspection.verdict import Verdict, add_value_findings, judge
from frism.triples.accounting import Fate, account, tally
from frism.triples.facts import Facts
from frism.triples.triple import Triple
from frism.triples.vocabularies import read_vocabulary

if TYPE_CHECKING:
    from frism.inspection.alignment import TaskVectorNorms
    from frism.inspection.estimates import Costs


@dataclass(frozen=True)
class CheckpointSummary:
    """Summarise one checkpoint of the triple; `digest` is None where the content was not read."""

    role: str
    folder: str
    model_type: str
    shards: int
    dtypes: dict[str, int]  # stored dtype -> number of tensors
    tensors: int
    values: int
    bytes: int
    facts: Facts | None
    tokens: int | None
    added_tokens: int | None
    digest: str | None


@dataclass(frozen=True)
class Report:
    """Hold what `frism inspect` shows; the parts that need a possible merge are empty where it is refused."""

    scope: str
    aligned: int  # tensors in scope with an equal-shaped partner in all three
    shapes: dict[str, int]  # shape -> number of aligned tensors
    sides: list[CheckpointSummary]
    fates: dict[Fate, dict[str, int]]
    vectors: "TaskVectorNorms | None"
    costs: "Costs | None"
    verdict: Verdict
    expectations: list[str]  # what to expect of a merge, in sentences

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values; layers, modules and tensors on the first level."""
        plain = asdict(self)
        vectors = plain.pop("vectors") or {"layers": [], "modules": [], "tensors": [], "total": None}
        plain["verdict"] = {"status": self.verdict.status, **plain["verdict"]}
        return {**plain, **vectors}


def inspect(
    triple: Triple,
    scope: str | None = None,
    *,
    text_receiver: bool = False,
    vlm_donor: bool = False,
    norms: bool = True,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Judge a triple, whether it can be merged or not (`Triple.open` would refuse it).

    With `norms` every tensor in scope is read, and every file hashed; without, headers and tokenizers only.
    Raises UserError for files that are missing or damaged.
    """
    scope = scope or triple.scope
    verdict = judge(triple, scope, text_receiver=text_receiver, vlm_donor=vlm_donor)
    sides = [_summarise(triple, role, norms and not verdict.refusals) for role in triple.checkpoints]
    if verdict.refusals:
        return Report(scope, 0, {}, sides, {}, None, None, verdict, [])
    fates = tally(account(triple, scope))
    names = triple.names(scope)
    shapes = Counter("x".join(map(str, triple.header("vlm", name).shape)) for name in names)
    vectors, costs, expectations = None, None, []
    if norms:
        from frism.inspection.alignment import measure_task_vectors
        from frism.inspection.estimates import estimate
        from frism.inspection.expectations import describe_expectations

        vectors = measure_task_vectors(triple, scope, progress)
        verdict = add_value_findings(verdict, triple, vectors)
        costs = estimate(triple, scope)
        expectations = describe_expectations(triple, vectors)
    return Report(scope, len(names), dict(shapes), sides, fates, vectors, costs, verdict, expectations)


def _summarise(triple: Triple, role: str, hashed: bool) -> CheckpointSummary:
    checkpoint = triple.checkpoints[role]
    headers = checkpoint.tensors.values()
    vocabulary = read_vocabulary(checkpoint)
    return CheckpointSummary(
        role=role,
        folder=str(checkpoint.folder),
        model_type=checkpoint.model_type,
        shards=len(checkpoint.shards()),
        dtypes=dict(Counter(header.dtype for header in headers)),
        tensors=len(headers),
        values=sum(header.values for header in headers),
        bytes=sum(header.bytes for header in headers),
        facts=_facts(triple, role),
        tokens=len(vocabulary.tokens) if vocabulary else None,
        added_tokens=len(vocabulary.added) if vocabulary else None,
        digest=checkpoint.digest if hashed else None,
    )


def _facts(triple: Triple, role: str) -> Facts | None:
    try:
        return triple.towers[role].facts
    except UserError:
        return None  # the verdict says why
