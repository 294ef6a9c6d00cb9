"""What a plan counts: sizes that model cards and files state, tokens and products counted by hand."""

from dataclasses import replace
from pathlib import Path

import pytest
from safetensors import safe_open

from benchmarks.study.config import StudyConfig
from benchmarks.tools import plan_machines
from benchmarks.tools.plan_costs import Counter, QuestionGroup
from benchmarks.tools.plan_model import Model
from benchmarks.tools.plan_stages import Planner
from frism.errors import UserError
from frism.spectra.settings import SpectrumSettings
from frism.spectra.spectra import Spectra
from tests.support.studies import study_of

ROOT = Path(__file__).resolve().parents[3]
MINIATURE = ROOT / "config" / "miniature.yaml"
MACHINES = plan_machines.load_data_sheets()


@pytest.fixture(scope="module")
def seven():
    return Model("models/Qwen2.5-VL-7B-Instruct")


@pytest.mark.parametrize(
    ("name", "values", "matrices", "gates", "factors"),
    [  # values as the model cards count them; the rest: research on the method, U and V in bf16
        ("Qwen2.5-VL-3B-Instruct", 3_754_622_976, 252, 387_072, 7.1e9),
        ("Qwen2.5-VL-7B-Instruct", 8_292_166_656, 196, 530_432, 16.7e9),
        ("Qwen2.5-VL-32B-Instruct", 33_452_718_336, 448, 1_769_472, 79.5e9),
        ("Qwen3-VL-8B-Instruct", 8_767_123_696, 252, None, None),
    ],
)
def test_released_models_have_their_published_sizes(name, values, matrices, gates, factors):
    model = Model(f"models/{name}")
    assert (model.values, len(model.matrices)) == (values, matrices)
    if gates:
        assert sum(model.directions(None)) == gates
        assert 2 * model.factors(None) == pytest.approx(factors, rel=0.01)


def test_the_miniature_has_the_values_of_its_file():
    folder = ROOT / "benchmarks" / "miniature" / "weights" / "vlm"
    with safe_open(folder / "model.safetensors", "numpy") as file:
        stored = sum(file.get_tensor(name).size for name in file.keys())  # noqa: SIM118
    model = Model(str(folder))
    assert model.values == stored
    assert model.bytes == 4 * stored


@pytest.mark.parametrize("rank", [None, 8])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_bytes_of_spectra_are_those_of_their_files(triple, triple_folders, tmp_path, rank, dtype):
    spectra = Spectra(triple, SpectrumSettings(rank=rank, dtype=dtype), tmp_path)
    for name in triple.names():
        spectra.ensure(name)
    written = 0
    for path in tmp_path.rglob("*.safetensors"):
        content = path.read_bytes()
        written += len(content) - 8 - int.from_bytes(content[:8], "little")
    model = Model(str(triple_folders["vlm"]))
    assert Counter(model, MACHINES["cpu1"], rank=rank, stored=dtype).spectra_bytes() == written


def test_a_pictures_tokens_are_whole_squares_of_patches(seven):
    assert seven.patches(28 * 28 * 100) == 400
    assert Model("models/InternVL3_5-8B-HF").patches(448 * 448) == 256 * 4
    assert Model("models/SmolVLM2-2.2B-Instruct").patches(378 * 378) == 81 * 9


def test_a_token_is_as_slow_as_the_weights_are_read(seven):
    """7B in bf16, alone: 6.53 G values in the layers and 0.545 G in the head, two bytes each."""
    machine = MACHINES["h200"].model_copy(update={"bandwidth": 1e9, "sustained": 1.0, "layer": 0.0})
    cost = Counter(seven, machine, "bfloat16").write(1, prompt=0, answer=1, limit=2)
    assert cost.seconds == pytest.approx(14.14, rel=0.001)
    assert cost.tokens == 1


def test_reading_a_prompt_takes_its_products(seven):
    """1,000 tokens through 6.53 G values, their attention: 2 x 1000^2 x 3584 x 28 layers = 0.2 T."""
    cost = Counter(seven, MACHINES["h200"], "bfloat16").read(1, 1000, 1)
    assert cost.products == pytest.approx(6.5256e12 + 0.000545e12 + 0.2007e12, rel=0.001)
    assert cost.seconds == pytest.approx(2 * cost.products / (0.6 * 989e12) + 28 * 6e-4)


def test_samples_cost_their_answers_but_their_prompt_once(seven):
    counter = Counter(seven, MACHINES["h200"], "bfloat16")
    once, drawn, more = (
        counter.answer(QuestionGroup(count, 64, 400, 160, 300, 2048, samples))
        for count, samples in ((128, 1), (128, 4), (512, 1))
    )
    assert drawn["see"] == once["see"] and drawn["write"] == more["write"]
    assert drawn["read"].products == pytest.approx(once["read"].products)
    assert drawn["write"].tokens == 4 * once["write"].tokens


@pytest.mark.parametrize(("rank", "ratio"), [(None, 2.25), (256, 1.10)])
def test_a_gated_step_costs_what_was_measured(seven, rank, ratio):
    """To the frozen layer's forward and backward pass over 256 tokens; ratios as gate_step.py timed them."""
    asked = QuestionGroup(1, 1, 0, prompt=256, answer=1, limit=1)
    counter = Counter(seven, MACHINES["cpu1"], rank=rank)
    frozen = 2 * 256 * seven.body
    assert counter.step(asked, 2).products / frozen == pytest.approx(ratio, rel=0.1)


def test_factors_that_do_not_fit_beside_the_weights_are_streamed(seven):
    whole, few = (Counter(seven, MACHINES["rtx-4090"], "bfloat16", rank=rank) for rank in (None, 256))
    assert whole.streams()
    assert not few.streams()
    assert not replace(whole, machine=MACHINES["h200"]).streams()
    asked = QuestionGroup(8, 8, 0, prompt=100, answer=1, limit=1)
    unhindered = replace(whole, machine=MACHINES["rtx-4090"].model_copy(update={"link": None}))
    waits = whole.step(asked, 2).seconds - unhindered.step(asked, 2).seconds
    assert waits == pytest.approx(2 * 16.67e9 / 25e9, rel=0.01)


def test_the_miniatures_jobs_and_tokens(monkeypatch):
    """By hand: limits are 48, so reasoning and other answers are 24 tokens, perception 8."""
    monkeypatch.chdir(ROOT)
    stages = {stage.name: stage for stage in Planner(StudyConfig.load(MINIATURE), MACHINES["cpu1"]).stages()}
    assert {name: stage.jobs for name, stage in stages.items()} == {
        "spectrum": 1, "tune": 16, "predict": 16, "score": 16, "text": 18, "others": 6,
    }  # fmt: skip
    perception, reasoning, other = 5 * 8, 4 * 24, 7 * 24
    assert stages["predict"].cost.tokens == 16 * 300 * (perception + reasoning + other) == 1_459_200
    points, taught = (
        57,
        256 * 8,
    )  # FRISM alone learns from questions, and all its points from the same answers
    assert stages["tune"].cost.tokens == points * 120 * (perception + reasoning) + taught == 932_288
    assert stages["text"].cost.tokens == 18 * 4 * 300 * 24


@pytest.fixture
def tuning(monkeypatch):
    """The parts of tuning one variant of the miniature with a method."""
    monkeypatch.chdir(ROOT)

    def parts(method):
        settings = StudyConfig.load(MINIATURE).model_dump(mode="json")
        study = study_of(settings | {"variants": {"vlm": {"method": "vlm"}, "x": {"method": method}}})
        stages = {stage.name: stage for stage in Planner(study, MACHINES["cpu1"]).stages()}
        return stages["tune"].parts

    return parts


def test_a_method_says_how_many_decompositions_it_makes(tuning):
    svd = Planner(StudyConfig.load(MINIATURE), MACHINES["cpu1"]).counter.svd().seconds
    extra = tuning("ip_released")["merge"].seconds - tuning("ties")["merge"].seconds
    assert extra == pytest.approx(2 * svd, rel=1e-6)


def test_only_what_learns_from_questions_is_charged_for_learning(tuning):
    assert {"teach", "learn"} <= tuning("frism").keys()
    assert "learn" not in tuning("frism_uniform")
    assert tuning("frism_uniform")["fit"].seconds > 0  # made from another variant's gates, tensor by tensor
    assert "fit" not in tuning("inject")


def test_a_checkpoint_that_nobody_knows_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match=r"Did you mean 'Qwen2.5-VL-7B-Instruct'"):
        Model("models/Qwen2.5-VL-7B-Instuct")
    (tmp_path / "config.json").write_text('{"model_type": "qwen2"}')
    with pytest.raises(UserError, match=r"of the type qwen2, which is not a known vision-language model"):
        Model(str(tmp_path))
