"""Every image-text-to-text class of transformers: inspect, merge, export, reload, a token, and nothing else changed."""

from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file

from frism.inspection.report import inspect
from frism.merging.export import Job, export
from frism.method.discovery import find
from frism.triples.accounting import account
from frism.triples.triple import ROLES, Triple
from tests.support import every_vlm

STRENGTH = 0.5


def merge_and_reload(model_type: str, folder: Path, **how: object) -> dict[str, int]:
    """Take a tiny triple of a class through everything; return how many tensors had which fate.

    Raises UserError where the triple is refused; every other failure is an AssertionError.
    """
    base, vlm, lrm = every_vlm.write_triple(model_type, folder, **how)
    triple = Triple.open(**{role: folder / role for role in ROLES})
    report = inspect(triple, norms=False)
    assert report.verdict.refusals == []
    out = folder / "merged"
    params = find("inject").validate({"strength": STRENGTH})
    export(Job(triple, "inject", params, "mat", out, sync=False))
    merged, info = transformers.AutoModelForImageTextToText.from_pretrained(
        out, output_loading_info=True, dtype=torch.float32
    )
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    check_bytes(triple, folder)
    check_parameters(merged, vlm, base, lrm)
    tokens = merged.eval().generate(
        input_ids=torch.tensor([[5, 6, 7]]), attention_mask=torch.ones(1, 3, dtype=torch.long),
        max_new_tokens=1, do_sample=False,
    )  # fmt: skip
    assert tokens.shape[1] in (1, 4)
    fates: dict[str, int] = {}
    for entry in account(triple):
        fates[entry.fate] = fates.get(entry.fate, 0) + 1
    return fates


def check_bytes(triple: Triple, folder: Path) -> None:
    """Every tensor that is not merged has V's bytes, every one that is has others."""
    before, after = (
        {
            name: value
            for path in (folder / which).glob("*.safetensors")
            for name, value in load_file(path).items()
        }
        for which in ("vlm", "merged")
    )
    fates = {entry.stored: entry.fate for entry in account(triple)}
    assert before.keys() == after.keys() == fates.keys()
    for name, value in before.items():
        same = torch.equal(value.view(torch.uint8), after[name].view(torch.uint8)) if value.dim() else True
        assert same == (fates[name] != "merged"), name


def check_parameters(
    merged: torch.nn.Module, vlm: torch.nn.Module, base: torch.nn.Module, lrm: torch.nn.Module
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
