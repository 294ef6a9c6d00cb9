"""Measure the population's models, and write its card: accuracies, norms, minutes and hashes.

python -m benchmarks.miniature.population.card measure b1/lrm_lightly --out FILE
python -m benchmarks.miniature.population.card compare b1 --out FILE
python -m benchmarks.miniature.population.card collect --models DIR --out DIR
`collect` writes README.md, models.csv, pairs.csv and SHA256SUMS from what the others wrote. It needs no
models, so bases may be trained and measured at different times.
"""

from pathlib import Path
from typing import Annotated, Any

import jinja2
import pandas as pd
import torch
import typer
import yaml
from statsmodels.stats.proportion import proportion_confint
from transformers import PreTrainedModel, Qwen2_5_VLForConditionalGeneration, Qwen2ForCausalLM
from transformers.utils import logging

from benchmarks.miniature import question_families as q
from benchmarks.miniature.population.members import BASE, LRMS, MODELS, VLMS, Member, list_members
from benchmarks.miniature.tokenizer import build_processor, build_tokenizer
from benchmarks.miniature.training import measure_accuracies
from frism.checkpoints.checkpoint import Checkpoint
from frism.errors import report_errors
from frism.files import atomic_write, read_json, sha256_file, write_json
from frism.inspection.alignment import measure_task_vectors
from frism.triples.triple import Triple

app = typer.Typer(add_completion=False, help=__doc__, no_args_is_help=True)
GROUPS = {"perception": q.PERCEPTION, "short chains": q.SHORT, "reasoning": q.REASONING}
Models = Annotated[Path, typer.Option(help="The folder of the population's models.")]
TEMPLATE = Path(__file__).with_name("card.md.jinja")


@app.command()
@report_errors()
def measure(
    name: Annotated[str, typer.Argument(help="The model, such as b1/vlm_turned.")],
    out: Annotated[Path, typer.Option(help="The JSON to write.")],
    models: Models = MODELS,
    questions: Annotated[int, typer.Option(help="Test questions per family.")] = 300,
) -> None:
    """Measure one model: in words (B and R), on pictures (V)."""
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    member = Member.parse(name)
    folder = member.folder(models)
    loader = Qwen2_5_VLForConditionalGeneration if member.sees else Qwen2ForCausalLM
    model: PreTrainedModel = loader.from_pretrained(folder, dtype=torch.float32)
    shares = measure_accuracies(
        model, build_processor(build_tokenizer()), q.FAMILIES, seen=member.sees, n=questions, split="test"
    )
    write_json(
        out,
        {
            "model": name,
            "input": "pictures" if member.sees else "words",
            "n": questions,
            "accuracies": shares,
            "training": yaml.safe_load((folder / "training.yaml").read_text()),
            "digest": Checkpoint.open(folder).digest,
            "sha256": {path.name: sha256_file(path) for path in sorted(folder.glob("*.safetensors"))},
        },
    )


@app.command()
@report_errors()
def compare(
    base: Annotated[str, typer.Argument(help="The base, such as b1.")],
    out: Annotated[Path, typer.Option(help="The JSON to write.")],
    models: Models = MODELS,
) -> None:
    """Measure the task vectors of every triple of a base."""
    pairs = [compare_task_vectors(base, vlm, lrm, models) for vlm in VLMS for lrm in LRMS]
    write_json(out, {"pairs": pairs})


@app.command()
@report_errors()
def collect(
    out: Annotated[Path, typer.Option(help="The folder to write the card into.")],
    models: Models = MODELS,
    base: Annotated[
        list[str] | None, typer.Option(help="A base of the card (repeatable; default all).")
    ] = None,
) -> None:
    """Put the measurements of all models into one card."""
    bases = base or list(dict.fromkeys(member.base for member in list_members()))
    records = [read_json(find_record(m, models)) for m in list_members() if m.base in bases]
    table = pd.DataFrame([summarise(record) for record in records])
    pairs = pd.DataFrame([row for name in bases for row in read_json(find_pairs(name, models))["pairs"]])
    for name, frame in (("models", table), ("pairs", pairs)):
        with atomic_write(out / f"{name}.csv") as path:
            frame.to_csv(path, index=False, lineterminator="\n", float_format="%.4f")
    with atomic_write(out / "SHA256SUMS") as path:
        path.write_text("".join(f"{digest}  {record['model']}/{name}\n" for record in records
                                for name, digest in record["sha256"].items()))  # fmt: skip
    with atomic_write(out / "README.md") as path:
        path.write_text(render(table, pairs, records[0]["n"]), encoding="utf-8")


def find_record(member: Member, models: Path) -> Path:
    """Return where `measure` leaves a member's record below the models' folder."""
    return models / "cards" / member.base / f"{member.part}.json"


def find_pairs(base: str, models: Path) -> Path:
    """Return where `compare` leaves what it measured of a base."""
    return models / "cards" / base / "pairs.json"


def summarise(record: dict[str, Any]) -> dict[str, Any]:
    """Put a record into a row: accuracies by group with intervals, minutes, hash."""
    row: dict[str, Any] = {"model": record["model"], "input": record["input"]}
    for group, families in GROUPS.items():
        n = record["n"] * len(families)
        right = sum(round(record["accuracies"][family] * record["n"]) for family in families)
        low, high = proportion_confint(right, n, method="wilson")
        row |= {group: right / n, f"{group}_low": low, f"{group}_high": high}
    training: dict[str, Any] = record["training"]
    return row | training | {"digest": record["digest"]}


def compare_task_vectors(base: str, vlm: str, lrm: str, models: Path) -> dict[str, Any]:
    """Measure a triple's task vectors: Frobenius norms over attention and MLP matrices, and their cosine."""
    b, v, r = (str(Member(base, part).folder(models)) for part in (BASE, f"vlm_{vlm}", f"lrm_{lrm}"))
    total = measure_task_vectors(Triple.open(b, v, r, "mat")).total
    return {"base": base, "vlm": vlm, "lrm": lrm, "B": total.base, "tau_V": total.tau_vlm,
            "tau_R": total.tau_lrm, "cosine": total.cosine}  # fmt: skip


def render(table: pd.DataFrame, pairs: pd.DataFrame, n: int) -> str:
    """Write the card as Markdown."""
    shown = pd.DataFrame({"model": table["model"], "asked": table["input"]})
    for group in GROUPS:
        ends = zip(table[group], table[f"{group}_low"], table[f"{group}_high"], strict=True)
        shown[group] = [f"{value:.3f} [{low:.3f}, {high:.3f}]" for value, low, high in ends]
    environment = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        kinds={**VLMS, **LRMS},
        n=n,
        accuracies=shown.assign(minutes=table["minutes"]).to_markdown(index=False),
        pairs=pairs.to_markdown(index=False, floatfmt=".3f"),
    )


if __name__ == "__main__":
    app()
