"""Take every image-text-to-text class of transformers through a merge; write what passed, and why or why not.

    python -m tests.support.every_vlm_table docs/every_class.md

One line a class. `tests/frism/triples/test_every_vlm.py` compares the same lines with what it finds.
"""

import sys
import tempfile
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file

from frism.errors import UserError
from frism.inspection.report import inspect
from frism.merging.export import Job, export
from frism.method.discovery import find
from frism.triples.accounting import account
from frism.triples.derived_tower import DerivedTower
from frism.triples.triple import ROLES, Triple
from tests.support import architectures, every_vlm

STRENGTH = 0.5
# Names as the hub has them; those of the modules in memory, sharded and tied; and the latter without the
# leading "model.", which from_pretrained takes.
WAYS: dict[str, dict[str, object]] = {
    "hub": {"naming": "hub"},
    "memory": {"naming": "memory", "shards": True, "tied": True},
    "bare": {"naming": "bare", "shards": True, "tied": False},
}
HEADER = "| `model_type` of V | language model | merged | names | else |\n|---|---|---|---|---|\n"
_PAGE = """# Every class that reads pictures and text

What transformers {version} maps to image-text-to-text, each taken through `inspect`, `merge`, reload and
one generated token with tiny random weights of the true class; B and R are of the text class that V contains.
"table" is an architecture that `frism/triples/architectures.py` lists, "derived" one that needs none.
Names: as hub files have them ("hub"), as the modules in memory ("memory"), or the latter without the leading
`model.` ("bare"); where one is missing without a reason, transformers itself does not load it. Everything
outside the scope keeps its bytes.

{merged} of {all} classes are merged, {derived} of them without a line of table. This page is written by
`python -m tests.support.every_vlm_table docs/every_class.md`.

"""


class CannotBuildError(Exception):
    """Transformers itself does not build the class here."""


class CannotLoadError(Exception):
    """Transformers itself does not load what it saved, in this naming."""


def merge_and_reload(model_type: str, folder: Path, way: str) -> Triple:
    """Take a tiny triple of a class through everything, and return it.

    Raises UserError where the triple is refused; a failure of ours is an AssertionError. Raises
    CannotBuildError and CannotLoadError for transformers' own.
    """
    towers = None
    try:
        if model_type == "mllama":  # its text class has cross-attention too: B and R are llama
            how = WAYS[way] | {"naming": "hub" if way == "hub" else "memory"}
            architectures.make(model_type, folder, **how)
        else:
            towers = every_vlm.write_triple(model_type, folder, **WAYS[way])
    except (ImportError, ValueError) as error:
        if "timm" in str(error):
            raise CannotBuildError("needs the package timm") from error
        if "Unrecognized configuration class" in str(error):
            raise CannotBuildError("its auto class does not take its config") from error
        raise
    loads = not load(folder / "vlm")[1]
    try:
        triple = Triple.open(**{role: folder / role for role in ROLES})
        report = inspect(triple, norms=False)
    except UserError as error:
        raise (error if loads else CannotLoadError(str(error))) from error
    assert loads, "merged although transformers does not load V"
    assert report.verdict.refusals == []
    params = find("inject").validate({"strength": STRENGTH})
    export(Job(triple, "inject", params, "mat", folder / "merged", sync=False))
    merged, problems = load(folder / "merged")
    assert not problems
    check_bytes(triple, folder)
    if towers:
        check_parameters(merged, *towers)
    generate_token(merged)
    return triple


def load(folder: Path) -> tuple[torch.nn.Module, list[str]]:
    """Load a folder with transformers; return the model and the tensors that it complains of."""
    model, info = transformers.AutoModelForImageTextToText.from_pretrained(
        folder, output_loading_info=True, dtype=torch.float32
    )
    problems = [
        str(one) for key in ("missing_keys", "unexpected_keys", "mismatched_keys") for one in info[key]
    ]
    return model.eval(), problems


def generate_token(model: torch.nn.Module) -> None:
    """Generate one token; a class that insists on a picture does it with its language model."""
    words = {"input_ids": torch.tensor([[5, 6, 7]]), "attention_mask": torch.ones(1, 3, dtype=torch.long)}
    try:
        tokens = model.generate(**words, max_new_tokens=1, do_sample=False)
    except (TypeError, ValueError) as error:
        if "pixel_values" not in str(error):
            raise
        text = getattr(model, "language_model", None) or model.get_decoder()
        tokens = text.generate(**words, max_new_tokens=1, do_sample=False)
    assert tokens.shape[1] in (1, 4)


def check_bytes(triple: Triple, folder: Path) -> None:
    """Every tensor that is not merged has V's bytes, every one that is has others."""
    before, after = (
        {
            name: value
            for path in (folder / which).glob("*.safetensors")
            for name, value in load_file(path).items()
        }
        for which in ("vlm", "merged")
    )  # fmt: skip
    fates = {entry.stored: entry.fate for entry in account(triple)}
    assert before.keys() == after.keys() == fates.keys()
    for name, value in before.items():
        same = value.dtype == after[name].dtype and value.numpy().tobytes() == after[name].numpy().tobytes()
        assert same == (fates[name] != "merged"), name


def check_parameters(
    merged: torch.nn.Module, base: torch.nn.Module, vlm: torch.nn.Module, lrm: torch.nn.Module
) -> None:
    """Compare with the formula on the loaded models, which knows nothing of names in files.

    Every linear map in the layers of the language model is V + 0.5 (R - B), but a router; all else is V's.
    """
    towers = [dict(every_vlm.find_decoder(model).named_parameters()) for model in (merged, vlm)]
    donors = [dict(every_vlm.find_decoder(model).named_parameters()) for model in (base, lrm)]
    modules = dict(every_vlm.find_decoder(merged).named_modules())
    assert towers[0].keys() == towers[1].keys() == donors[0].keys() == donors[1].keys()
    changed = 0
    for name, value in towers[0].items():
        expected = towers[1][name] + STRENGTH * (donors[1][name] - donors[0][name])
        linear = isinstance(modules[name.rpartition(".")[0]], torch.nn.Linear) and name.endswith("weight")
        if torch.equal(value, towers[1][name]):
            router = any(word in name for word in ("gate.weight", "router", "_gate.weight"))
            assert not linear or router or not any(step.isdigit() for step in name.split(".")), name
        else:
            torch.testing.assert_close(value, expected, rtol=0, atol=1e-6, msg=name)
            changed += 1
    assert changed


def find_outcome(model_type: str) -> str:
    """Return a class's line of the table."""
    names, reason, text, kind = [], "", "", ""
    for way in WAYS:
        with tempfile.TemporaryDirectory() as folder:
            try:
                triple = merge_and_reload(model_type, Path(folder), way)
            except (CannotBuildError, CannotLoadError, UserError) as error:
                if isinstance(error, (UserError, CannotBuildError)):
                    reason = reason or _explain(error, folder)
                continue
        tower = triple.towers["vlm"]
        names.append(way)
        text = tower.facts.text_type
        kind = kind or ("derived" if isinstance(tower, DerivedTower) else "table")
    return f"| `{model_type}` | {text} | {kind} | {', '.join(names)} | {reason} |"


def _explain(error: Exception, folder: str) -> str:
    """Return the reason of a refusal, without folders and remedies."""
    text = str(error).replace(f"{folder}/vlm (vlm) stores", "V stores")
    for before, word in (
        ("which is not supported, since ", ""),
        ("(vlm) is ", ""),
        ("(base) lacks ", "B lacks "),
    ):
        if before in text:
            text = word + text.partition(before)[2]
    return text.partition(": ")[0].replace("|", "/")


def write_page(path: Path) -> None:
    """Write the page."""
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    lines = []
    for model_type in every_vlm.TYPES:
        lines.append(find_outcome(model_type))
        print(lines[-1], flush=True)
    counts = {word: sum(f"| {word} |" in line for line in lines) for word in ("table", "derived")}
    page = _PAGE.format(
        version=transformers.__version__,
        all=len(lines),
        merged=sum(counts.values()),
        derived=counts["derived"],
    )
    path.write_text(page + HEADER + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_page(Path(sys.argv[1]))
