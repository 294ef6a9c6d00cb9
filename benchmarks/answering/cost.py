"""Record what answering a batch cost, in a file beside the predictions."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from frism.files import explain_refusal


@dataclass(frozen=True)
class Cost:
    """Holds the cost of one batch: seconds, new tokens, peak memory and parts.

    Peak memory is in bytes: of the device, of the process on a CPU, 0 where it is another machine's. More
    than one part means that memory ran out.
    """

    digest: str
    questions: int
    tokens: int
    seconds: float
    peak_memory: int
    parts: int


def get_costs_path(predictions: str | Path) -> Path:
    """Return where the costs of a predictions file lie: V.jsonl has V.batches.jsonl beside it."""
    return Path(predictions).with_suffix(".batches.jsonl")


def append_costs(predictions: str | Path, costs: Sequence[Cost]) -> None:
    """Add batches to the costs of a predictions file; a batch that is answered again has two lines.

    Raises UserError when the disk refuses.
    """
    path = get_costs_path(predictions)
    try:
        with path.open("a", encoding="utf-8") as stream:
            stream.writelines(json.dumps(asdict(cost)) + "\n" for cost in costs)
    except OSError as error:
        raise explain_refusal(path, error) from error


def read_costs(predictions: str | Path) -> list[Cost]:
    """Read the costs of a predictions file, as far as they were written; none where there are none."""
    path = get_costs_path(predictions)
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []
    return [Cost(**json.loads(line)) for line in lines if line.endswith("}")]
