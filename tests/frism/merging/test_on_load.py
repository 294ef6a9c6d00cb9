"""Merge on load in a real VLM: only the scope changes, switching leaves no trace, and it is quick."""

import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, Qwen2_5_VLForConditionalGeneration, Qwen2ForCausalLM

from frism.errors import UserError
from frism.merging import on_load
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe
from frism.triples.triple import WIDEST_SCOPE, Triple
from tests.support import architectures
from tests.support.fits import fit


@pytest.fixture
def model(triple: Triple) -> Qwen2_5_VLForConditionalGeneration:
    return on_load.load(triple, None)


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name in before if before[name].numpy().tobytes() != after[name].numpy().tobytes()}


@pytest.mark.parametrize("scope", ["mat", "mat+bias", "mat+bias+norm"])
def test_only_tensors_in_scope_change(triple: Triple, model: nn.Module, scope: str) -> None:
    before = state(model)
    norms = on_load.apply(model, triple, Recipe.make(triple, "inject", scope=scope))
    assert changed(before, state(model)) == {f"model.language_model.{name}" for name in triple.names(scope)}
    assert list(norms) == triple.names(scope)


def test_filled_model_holds_the_streamed_tensors(triple: Triple, model: nn.Module) -> None:
    recipe = Recipe.make(triple, "ties", scope=WIDEST_SCOPE)
    norms = on_load.apply(model, triple, recipe)
    for name, tensor in on_load.merge(triple, recipe):
        assert torch.equal(model.model.language_model.get_parameter(name), tensor)
        delta = tensor.double() - triple.read("vlm", name).double()
        assert norms[name] == pytest.approx(delta.norm().item(), rel=1e-5)
    assert norms == on_load.measure_injected_norms(triple, recipe)


def test_switching_restores_the_vlm_first(triple: Triple, model: nn.Module) -> None:
    before = state(model)
    narrow = Recipe.make(triple, "inject")
    on_load.apply(model, triple, narrow)
    expected = state(model)
    on_load.apply(model, triple, Recipe.make(triple, "interp", {"vlm_weight": 0.1}, scope=WIDEST_SCOPE))
    on_load.apply(model, triple, narrow)
    assert changed(expected, state(model)) == set()
    on_load.apply(model, triple, Recipe.make(triple, "vlm"))
    assert changed(before, state(model)) == set()
    on_load.apply(model, triple, narrow)
    on_load.apply(model, triple, None)
    assert changed(before, state(model)) == set()


def test_tied_embedding_stays_that_of_the_vlm(triple: Triple, model: nn.Module) -> None:
    on_load.apply(model, triple, Recipe.make(triple, "interp", {"vlm_weight": 0.0}, scope=WIDEST_SCOPE))
    assert model.lm_head.weight is model.model.language_model.embed_tokens.weight
    assert torch.equal(model.lm_head.weight, triple.checkpoints["vlm"].read("model.embed_tokens.weight"))


def test_r_alone_in_the_tower_answers_as_r_does(triple: Triple, model: nn.Module) -> None:
    """Interpolation at 0 in the widest scope is R with V's embeddings: the real text class agrees."""
    on_load.apply(model, triple, Recipe.make(triple, "interp", {"vlm_weight": 0.0}, scope=WIDEST_SCOPE))
    lrm = Qwen2ForCausalLM.from_pretrained(triple.lrm_folder, dtype=torch.float32).eval()
    lrm.config.rms_norm_eps = model.config.text_config.rms_norm_eps
    for module in lrm.modules():
        if hasattr(module, "variance_epsilon"):
            module.variance_epsilon = model.config.text_config.rms_norm_eps
    lrm.model.embed_tokens.weight.data.copy_(model.lm_head.weight)
    ids = torch.arange(40).view(2, 20)
    with torch.no_grad():
        torch.testing.assert_close(
            model(input_ids=ids).logits, lrm(input_ids=ids).logits, atol=1e-4, rtol=1e-4
        )


def test_bf16_model_gets_the_fp32_result_rounded_once(triple: Triple) -> None:
    recipe = Recipe.make(triple, "inject", {"strength": 0.7})
    model = on_load.load(triple, recipe, dtype=torch.bfloat16)
    for name, tensor in on_load.merge(triple, recipe):
        assert torch.equal(model.model.language_model.get_parameter(name), tensor.bfloat16())


def test_apply_is_quick(triple: Triple, model: nn.Module) -> None:
    for method in ("inject", "ties", "dare_linear"):
        recipe = Recipe.make(triple, method)
        on_load.apply(model, triple, recipe)
        start = time.process_time()  # not wall time: the machine may be busy
        on_load.apply(model, triple, recipe)
        assert time.process_time() - start < 1.0


def test_recipe_of_other_weights_is_refused(triple: Triple, model: nn.Module) -> None:
    recipe = Recipe.make(triple, "inject")
    recipe = recipe.model_copy(update={"triple": recipe.triple | {"lrm": "0" * 64}})
    with pytest.raises(UserError, match=r"made for another lrm than .*lrm"):
        on_load.apply(model, triple, recipe)


def test_coefficients_must_belong(triple: Triple) -> None:
    with pytest.raises(UserError, match="do not belong together"):
        list(on_load.merge(triple, Recipe.make(triple, "inject"), Fitted({"a": torch.tensor(1.0)})))
    with pytest.raises(UserError, match="do not belong together"):
        list(on_load.merge(triple, Recipe.make(triple, "inject", fitted=Fitted({"a": torch.tensor(1.0)}))))


def test_a_method_that_fits_on_weights_is_fitted_first(triple: Triple) -> None:
    fitted = fit("metagpt", triple, {})
    expected = dict(on_load.merge(triple, Recipe.make(triple, "metagpt", fitted=fitted), fitted))
    merged = dict(on_load.merge(triple, Recipe.make(triple, "metagpt")))
    assert merged.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in merged.items())
    with pytest.raises(UserError, match="frism must be fitted with calibration questions before"):
        list(on_load.merge(triple, Recipe.make(triple, "frism")))


def test_dtype_and_device_map_are_respected(triple: Triple) -> None:
    recipe = Recipe.make(triple, "ties", scope=WIDEST_SCOPE)
    model = on_load.load(triple, recipe, dtype="auto", device_map={"": "cpu"})
    expected = on_load.load(triple, recipe)
    assert changed(state(expected), state(model)) == set()


def test_an_offloaded_part_is_refused(triple: Triple, tmp_path: Path) -> None:
    whole = {"model.visual": "cpu", "model.language_model": "disk", "lm_head": "cpu"}
    from accelerate import dispatch_model

    model = dispatch_model(
        on_load.load(triple, None), whole, offload_dir=tmp_path, main_device="cpu", force_hooks=True
    )
    with pytest.raises(UserError, match=r"is offloaded: choose a device_map that keeps it on a device"):
        on_load.apply(model, triple, Recipe.make(triple, "inject"))


def test_no_second_copy_of_the_model_is_made(triple: Triple, model: nn.Module) -> None:
    places = {name: parameter.data_ptr() for name, parameter in model.named_parameters()}
    on_load.apply(model, triple, Recipe.make(triple, "inject", scope=WIDEST_SCOPE))
    assert {name: parameter.data_ptr() for name, parameter in model.named_parameters()} == places


@pytest.mark.parametrize("family", ["mllama", "smolvlm", "gemma3", "llava_next_mistral", "paligemma2"])
def test_other_families_are_filled_and_restored(tmp_path: Path, family: str) -> None:
    architectures.make(family, tmp_path, "memory", tied=True)
    triple = Triple.open(**{role: tmp_path / role for role in ("base", "vlm", "lrm")})
    model = on_load.load(triple, None)
    before = state(model)
    on_load.apply(model, triple, Recipe.make(triple, "interp", {"vlm_weight": 0.0}, scope=WIDEST_SCOPE))
    for name in triple.names(WIDEST_SCOPE):
        assert torch.equal(model.get_parameter(triple.parameter_name(name)), triple.read("lrm", name))
    assert changed(before, state(model)) == {triple.parameter_name(n) for n in triple.names(WIDEST_SCOPE)}
    on_load.apply(model, triple, Recipe.make(triple, "ta_sym"))
    on_load.apply(model, triple, None)
    assert changed(before, state(model)) == set()


@pytest.mark.parametrize("tied", [False, True])
def test_text_models_are_merged_whole(tmp_path: Path, tied: bool) -> None:
    for seed, role in enumerate(("base", "vlm", "lrm")):
        architectures.text_model("llama", tied, seed).save_pretrained(tmp_path / role)
        architectures.tokenizer().save_pretrained(tmp_path / role)
    folders = {role: tmp_path / role for role in ("base", "vlm", "lrm")}
    triple = Triple.open(**folders, scope="all", text_receiver=True)
    model = on_load.load(triple, Recipe.make(triple, "interp", {"vlm_weight": 0.0}, scope="all"))
    lrm = on_load.load(Triple.open(folders["base"], folders["lrm"], folders["vlm"], text_receiver=True), None)
    assert changed(state(lrm), state(model)) == set()
    on_load.apply(model, triple, None)
    assert changed(state(on_load.load(triple, None)), state(model)) == set()


def test_model_of_another_kind_is_refused(triple: Triple) -> None:
    lrm = Qwen2ForCausalLM.from_pretrained(triple.lrm_folder)
    with pytest.raises(UserError, match=r"Qwen2ForCausalLM has no parameter model\.language_model"):
        on_load.apply(lrm, triple, None)


def test_a_donor_that_no_folder_holds_is_loaded(tmp_path: Path) -> None:
    architectures.make("qwen2_5_vl", tmp_path)
    sources = [f"0.5*{tmp_path / 'lrm'}", f"0.5*{tmp_path / 'lrm'}"]
    triple = Triple.open(tmp_path / "base", tmp_path / "vlm", sources)
    assert triple.lrm_is_made
    assert not Triple.open(*(tmp_path / role for role in ("base", "vlm", "lrm"))).lrm_is_made
    model = on_load.load_language_model(triple, "lrm", dtype=torch.float32)
    expected = AutoModelForCausalLM.from_pretrained(tmp_path / "lrm", dtype=torch.float32)
    for name in triple.names("mat+bias+norm"):
        one, other = (each.get_parameter(f"model.{name}") for each in (model, expected))
        torch.testing.assert_close(one, other, rtol=2e-7, atol=1e-7)
