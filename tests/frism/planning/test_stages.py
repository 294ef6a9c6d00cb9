"""Stages and whole studies: sizes that are exact, and how costs follow what is asked for."""

from dataclasses import replace

import pytest

from frism.compute import Compute
from frism.gates import placement
from frism.gates.recomputation import SHARE
from frism.planning import fitting, machines, stages
from frism.planning.shapes import published, shape_of
from frism.planning.study import Merge, StudyWork, VariantWork, plan
from frism.planning.work import AnswerWork, FitWork, Precision, SpectrumWork
from frism.spectra import quality
from frism.spectra.settings import SpectrumSettings
from frism.spectra.spectra import Spectra

CPU, H200, RTX = (machines.profiles()[name] for name in ("cpu1", "h200", "rtx-4090"))
SHAPE = published()["Qwen2.5-VL-7B-Instruct"]
FIT = FitWork(questions=1024, steps=300, batch=8, patches=3824, text_tokens=60, answer_tokens=8)
ASKED = AnswerWork(1000, 64, 3824, 60, answer_tokens=460, longest=1610)
BF16 = Precision("bfloat16")


@pytest.mark.parametrize("rank", [None, 8])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_disk_of_spectra_is_exact(triple, triple_folders, tmp_path, rank, dtype):
    spectra = Spectra(triple, SpectrumSettings(rank=rank, dtype=dtype), tmp_path)
    for name in triple.names():
        spectra.ensure(name)
    written = sum(path.stat().st_size for path in tmp_path.rglob("*.safetensors"))
    counted = stages.spectrum(shape_of(triple_folders["vlm"]), SpectrumWork(rank, "auto", dtype), CPU).disk
    headers = stages.HEADER * len(triple.names())
    assert abs(written - counted) < headers


def test_constants_are_those_of_the_code_that_runs():
    assert (fitting.RECOMPUTE, stages.EXACT) == (SHARE, quality.EXACT)
    assert fitting.RESIDENT == placement.SHARE
    assert Compute().factors == Precision().factors


def test_costs_grow_with_what_is_asked_for():
    less = fitting.fit(SHAPE, FIT, H200, BF16)
    for change in ({"steps": 600}, {"batch": 16}, {"patches": 8000}):
        assert fitting.fit(SHAPE, replace(FIT, **change), H200, BF16).seconds > less.seconds
    low = replace(FIT, spectrum=SpectrumWork(256), tail_every=FIT.steps)
    assert fitting.fit(SHAPE, low, H200, BF16).parts["steps"] < less.parts["steps"]


def test_base_and_reasoning_model_stay_on_a_gpu_with_room_for_the_tails():
    low = replace(FIT, spectrum=SpectrumWork(256))
    roomy = fitting.fit(SHAPE, low, H200, BF16)
    tight = fitting.fit(SHAPE, low, H200.model_copy(update={"device_memory": 60e9}), BF16)
    assert "R and B stay on the GPU" in roomy.note
    assert "stay" not in tight.note
    assert "stay" not in fitting.fit(SHAPE, FIT, H200, BF16).note  # no tails
    checkpoints = 2 * SHAPE.stored * SHAPE.text.matrix_values
    assert roomy.device_memory - tight.device_memory == pytest.approx(checkpoints)
    assert roomy.parts["steps"] < tight.parts["steps"]
    assert tight.device_memory < fitting.fit(SHAPE, FIT, H200, BF16).device_memory


def test_a_full_rank_step_costs_what_its_multiplications_say():
    """performance.md, section 3: 2.3 times the frozen layers over a whole 7B layer by side branches."""
    short = replace(FIT, patches=400, answer_tokens=1, batch=1)
    step = fitting.step(SHAPE, short, CPU, "float32", 160, again=False)
    frozen = 4 * 160 * SHAPE.text.matrix_values / CPU.matmul_rate("float32", 160)
    assert 2.1 < step / frozen < 2.8


def test_factors_that_do_not_fit_are_streamed():
    resident = fitting.fit(SHAPE, FIT, H200, BF16)
    streamed = fitting.fit(SHAPE, FIT, RTX, BF16)
    assert "streamed" in streamed.note
    assert "streamed" not in resident.note
    assert resident.device_memory > streamed.device_memory
    assert streamed.memory > resident.memory
    said = fitting.fit(SHAPE, FIT, H200, Precision("bfloat16", "streamed"))
    assert "streamed" in said.note


def test_the_tail_costs_more_the_oftener_it_moves():
    low = replace(FIT, spectrum=SpectrumWork(64))
    often = fitting.fit(SHAPE, replace(low, tail_every=1), CPU).parts["steps"]
    assert often > fitting.fit(SHAPE, replace(low, tail_every=50), CPU).parts["steps"]


def test_files_in_memory_are_read_faster():
    assert stages.hashing(SHAPE, CPU, cached=True).seconds <= stages.hashing(SHAPE, CPU).seconds
    work = SpectrumWork(256)
    assert stages.spectrum(SHAPE, work, CPU, cached=True).seconds < stages.spectrum(SHAPE, work, CPU).seconds


def test_a_study_sums_its_stages():
    variants = (
        VariantWork("vlm", (None,), Merge(1, 0)),
        VariantWork("inject", (None, None, None), Merge(3, 4)),
        VariantWork("frism", (FIT, FIT), Merge(3, 8, on_spectrum=True)),
    )
    work = StudyWork(SHAPE, variants, (ASKED,), (ASKED,), (ASKED,), 5, SpectrumWork(), BF16)
    made = plan(work, H200)
    assert (made.variants, made.points) == (3, 6)
    times = {row.stage.name: row.times for row in made.rows}
    assert times["fit"] == 2
    assert times["answers (dev)"] == 6
    assert times["answers (test)"] == 3
    assert times["answers (text)"] == 5
    assert made.seconds == pytest.approx(sum(r.seconds for r in made.rows if r.stage.name != "export"))
    assert made.disk >= 4 * SHAPE.text.factor_values(None)
    assert plan(replace(work, oracle=True), H200).seconds > made.seconds
    assert plan(replace(work, devices=4), H200).seconds < made.seconds
    assert "spectrum" not in {row.stage.name for row in plan(replace(work, spectrum=None), H200).rows}
