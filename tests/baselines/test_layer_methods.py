"""Methods that compute numbers of the whole model or of its layers."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from baselines._blocks import fit_decay, fit_layers, weigh_layers
from frism.compute import Compute
from frism.distillation.attention import measure_visual_share
from frism.distillation.receiver import Receiver
from frism.errors import UserError
from frism.merging.on_load import merge
from frism.method import discovery
from frism.method.fitting import Fitting
from frism.method.recipe import Recipe
from frism.triples.triple import Triple

# lambda_V of layers 0, 13 and 27 of 28, by decay and by the ratio of the squared norms.
TABLE = [
    ("sum", 0.03, 0.1, (0.005, 0.004, 0.002)), ("sum", 0.03, 1, (0.052, 0.035, 0.023)),
    ("sum", 0.03, 5, (0.215, 0.154, 0.106)), ("sum", 0.03, 20, (0.523, 0.422, 0.321)),
    ("sum", 0.1, 0.1, (0.011, 0.003, 0.001)), ("sum", 0.1, 1, (0.101, 0.028, 0.007)),
    ("sum", 0.1, 5, (0.361, 0.124, 0.033)), ("sum", 0.1, 20, (0.693, 0.362, 0.121)),
    ("max", 0.1, 0.1, (1, 0.036, 0.007)), ("max", 0.1, 1, (1, 0.273, 0.067)),
    ("max", 0.1, 5, (1, 0.652, 0.265)), ("max", 0.1, 20, (1, 0.882, 0.590)),
]  # fmt: skip


@pytest.mark.parametrize(("prior", "decay", "ratio", "expected"), TABLE)
def test_frank_priors(prior: str, decay: float, ratio: float, expected: tuple[float, ...]) -> None:
    weights = weigh_layers(decay, 28, prior)
    found = [w * ratio / (w * ratio + 1 - w) for w in (weights[0], weights[13], weights[27])]
    assert found == pytest.approx(expected, abs=6e-4)


def squares(triple: Triple) -> np.ndarray:
    """Of tau_V and tau_R, by layer."""
    total = np.zeros((triple.layers, 2))
    for name in triple.names():
        base = triple.read("base", name).double()
        for place, role in enumerate(("vlm", "lrm")):
            total[triple.layer(name), place] += float(
                (triple.read(role, name).double() - base).square().sum()
            )
    return total


@pytest.mark.parametrize("prior", ["none", "sum", "max"])
def test_frank_in_numpy(triple: Triple, prior: str) -> None:
    params = {"prior": prior, "decay": 0.3}
    fitted = discovery.find("frank").run_fit(Fitting(triple), params)
    energy = squares(triple)
    weight = np.exp(-0.3 * np.arange(triple.layers))
    weight = {"none": np.full(6, 0.5), "sum": weight / weight.sum(), "max": weight / weight.max()}[prior]
    of_vlm = weight * energy[:, 0] / (weight * energy[:, 0] + (1 - weight) * energy[:, 1])
    np.testing.assert_allclose(fitted.model["vlm"].numpy(), of_vlm, rtol=1e-5)
    torch.testing.assert_close(fitted.model["vlm"] + fitted.model["lrm"], torch.ones(6))
    recipe = Recipe.make(triple, "frank", params, scope="mat+bias+norm", fitted=fitted)
    for name, merged in merge(triple, recipe, fitted):
        base, vlm, lrm = (triple.read(role, name).double() for role in ("base", "vlm", "lrm"))
        layer = triple.layer(name)
        share = None if layer is None else of_vlm[layer]
        expected = vlm if share is None else base + share * (vlm - base) + (1 - share) * (lrm - base)
        torch.testing.assert_close(merged.double(), expected, atol=1e-6, rtol=1e-5)


def test_frank_without_prior_is_metagpt_of_every_layer(triple: Triple) -> None:
    fitted = discovery.find("frank").run_fit(Fitting(triple), {})
    energy = squares(triple)
    np.testing.assert_allclose(fitted.model["vlm"].numpy(), energy[:, 0] / energy.sum(axis=1), rtol=1e-5)


def test_a_decay_is_found_again_and_large_ones_do_not_overflow() -> None:
    layers = torch.arange(28.0)
    assert fit_decay(0.4 * torch.exp(-0.07 * layers)) == pytest.approx(0.07, abs=1e-5)
    assert fit_decay(0.4 * torch.exp(0.07 * layers)) == pytest.approx(-0.07, abs=1e-5)
    for decay in (-60.0, 60.0):
        assert all(0 <= weight <= 1 for weight in weigh_layers(decay, 28, "sum"))


def test_frank_of_three_equal_models_is_refused(triple: Triple) -> None:
    same = Triple.open(triple.lrm_folder, triple.lrm_folder, triple.lrm_folder, text_receiver=True)
    with pytest.raises(UserError, match="nothing to merge"):
        fit_layers(Fitting(same, label="frank"), weigh_layers(0.1, 6, "none"))


def test_attention_to_the_picture_in_loops(triple: Triple, calibration: SimpleNamespace) -> None:
    questions = calibration.questions[:2]
    found = measure_visual_share(Receiver.load(triple, Compute()), questions)
    model = AutoModelForImageTextToText.from_pretrained(triple.vlm_folder, attn_implementation="eager").eval()
    processor = AutoProcessor.from_pretrained(triple.vlm_folder)
    expected = np.zeros(6)
    for picture, text in questions:
        message = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}]
        prompt = processor.apply_chat_template(message, add_generation_prompt=True, tokenize=False)
        inputs = processor(text=[prompt], images=[picture], return_tensors="pt")
        with torch.no_grad():
            attentions = model(**inputs, output_attentions=True).attentions
        visual = [token == model.config.image_token_id for token in inputs["input_ids"][0].tolist()]
        first = visual.index(True)
        readers = [place for place, seen in enumerate(visual) if not seen and place > first]
        for layer, weights in enumerate(attentions):
            masses = [
                math.fsum(weights[0, head, reader, place].item() for place, seen in enumerate(visual) if seen)
                for head in range(weights.shape[1]) for reader in readers
            ]  # fmt: skip
            expected[layer] += sum(masses) / len(masses) / len(questions)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


def test_frank_attention_reports_what_it_measured(triple: Triple, calibration: SimpleNamespace) -> None:
    fitted = discovery.find("frank_attention").run_fit(Fitting(triple, calibration=calibration), {})
    decay = float(fitted.model["decay"])
    assert decay == pytest.approx(fit_decay(fitted.model["attention"]), abs=1e-5)
    forced = fit_layers(Fitting(triple), weigh_layers(decay, 6, "sum"))
    torch.testing.assert_close(fitted.model["vlm"], forced.model["vlm"])
