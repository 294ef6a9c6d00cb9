"""The steps of a fit: their order, every option of learning, checks and the early end."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from frism.compute import Compute
from frism.distillation.example_cache import ExampleCache
from frism.distillation.examples import Examples, make_examples
from frism.distillation.receiver import Receiver
from frism.distillation.teacher import TeacherSettings
from frism.errors import UserError
from frism.gates.gated_model import GatedInjection
from frism.gates.learning import Learning
from frism.gates.learning_curve import EarlyStopping, LearningCurve
from frism.gates.training import GateTraining
from frism.spectra.spectra import Spectra
from frism.spectra.spectrum import Spectrum
from frism.triples.triple import Triple


class Setting:
    """One loaded V with its spectra and taught examples, for many runs."""

    def __init__(self, triple: Triple, questions: list[Any]) -> None:
        self.receiver = Receiver.load(triple, Compute())
        spectra = Spectra(triple)
        self.spectra: dict[str, Spectrum] = {name: spectra.load(name) for name in self.receiver.modules}
        self.learned, self.held = self.taught(questions)

    def taught(self, questions: list[Any], **asking: Any) -> tuple[Examples, Examples]:
        return make_examples(
            self.receiver,
            questions,
            TeacherSettings(max_new_tokens=2, **asking),
            batch=2,
            batches=9,
            held_out=2,
        )

    def run(
        self,
        *,
        examples: Examples | None = None,
        held: bool = False,
        strength: float = 1.0,
        seed: int = 0,
        kl_weight: float = 1.0,
        **learning: Any,
    ) -> GateTraining:
        injection = GatedInjection(self.receiver.modules, self.spectra, strength)
        kept = self.held if held else Examples(ExampleCache(None, ""), 0, 0)
        return GateTraining(self.receiver, injection, examples or self.learned, kept,
                   Learning(**{"batch": 2, "steps": 2, **learning}), seed=seed,
                   kl_weight=kl_weight)  # fmt: skip


@pytest.fixture(scope="module")
def setting(triple: Triple, calibration: SimpleNamespace) -> Setting:
    return Setting(triple, calibration.questions)


def logits(run: GateTraining) -> torch.Tensor:
    return torch.cat([values.detach() for values in run.injection.logits.values()])


@pytest.fixture(scope="module")
def plain(setting: Setting) -> torch.Tensor:
    """The logits after two steps with nothing changed."""
    run = setting.run()
    assert len(list(run)) == 2
    return logits(run)


def test_a_row_is_what_held_before_its_step(setting: Setting) -> None:
    run = setting.run()
    rows = list(run)
    assert rows[0]["injected_energy"] == pytest.approx(0.25)
    assert rows[0]["gate_q10"] == rows[0]["gate_q90"] == 0.5
    assert rows[1]["gate_q10"] < 0.5 < rows[1]["gate_q90"]
    assert run.curve.values["kl"] == [row["kl"] for row in rows]


def test_every_pass_takes_every_batch_once_in_an_order_of_its_own(setting: Setting) -> None:
    def order(seed: int) -> list[list[int]]:
        run = setting.run(seed=seed)
        count = len(run.examples)
        found = [
            next(p for p in range(count) if run.examples[p] is run._example(step))
            for step in range(count * 6)
        ]
        return [found[start : start + count] for start in range(0, len(found), count)]

    passes = order(0)
    assert all(sorted(each) == [0, 1, 2] for each in passes)
    assert len({tuple(each) for each in passes}) > 1
    assert order(0) == passes
    assert order(1) != passes


@pytest.mark.parametrize(
    ("changes", "asking"),
    [
        ({"divergence": "reverse"}, {}),
        ({"temperature": 3.0}, {}),
        ({"top_k": 3}, {"top_k": 3}),
        ({"tokens": "first"}, {"tokens": "first"}),
        ({"alpha": 5.0}, {}),
        ({"alpha": 0.1, "normaliser": "none"}, {}),
        ({"lr": 0.1}, {}),
        ({"weight_decay": 0.9}, {}),
        ({"epsilon": 1e-3}, {}),
    ],
)
def test_every_option_reaches_the_gates(
    setting: Setting,
    calibration: SimpleNamespace,
    plain: torch.Tensor,
    changes: dict[str, Any],
    asking: dict[str, Any],
) -> None:
    examples = setting.taught(calibration.questions, **asking)[0] if asking else None
    changed = setting.run(examples=examples, **changes)
    assert len(list(changed)) == 2
    assert not torch.equal(plain, logits(changed))


def test_the_cosine_schedule_falls_to_zero_and_decay_pulls_to_one_half(setting: Setting) -> None:
    run = setting.run(steps=4, schedule="cosine", lr=0.4, weight_decay=0.5, alpha=0.0, kl_weight=0.0)
    with torch.no_grad():
        for values in run.injection.logits.values():
            values.fill_(2.0)
    assert len(list(run)) == 4
    # Without a gradient AdamW shrinks by 1 - lr * decay.
    kept = [1 - 0.5 * 0.4 * share for share in (1.0, 0.5 + 0.25 * 2**0.5, 0.5, 0.5 - 0.25 * 2**0.5)]
    torch.testing.assert_close(
        logits(run), torch.full_like(logits(run), 2.0 * torch.tensor(kept).prod().item())
    )


def test_without_weight_the_divergence_is_measured_only(setting: Setting) -> None:
    run = setting.run(steps=2, kl_weight=0.0, lr=0.1, epsilon=1e-20)
    rows = list(run)
    assert rows[1]["kl"] != rows[0]["kl"] > 0
    torch.testing.assert_close(logits(run), torch.full_like(logits(run), 0.2), atol=1e-3, rtol=0)  # all open


def test_held_out_divergence_is_checked_and_carried_on(setting: Setting) -> None:
    run = setting.run(held=True, steps=5, check_every=2)
    values = [row["held_out_kl"] for row in run]
    assert values[0] == values[1] != values[2] == values[3] != values[4]
    fresh = setting.run()
    with torch.no_grad(), fresh.injection.apply():
        (held,) = setting.held
        assert values[0] == held.divergence(setting.receiver).item()


@pytest.mark.parametrize(("held", "checks"), [(True, 1 + 2), (False, 1 + 1 + 2)])
def test_it_stops_when_nothing_improves(setting: Setting, held: bool, checks: int) -> None:
    """The first check (without held-out questions the first after some steps) is the one to beat."""
    run = setting.run(held=held, steps=40, check_every=2, patience=2, tolerance=1e6)
    assert len(list(run)) == 2 * (checks - 1)
    assert len(list(setting.run(held=held, steps=6, check_every=2, patience=2, tolerance=0.0, lr=0.1))) == 6


def test_stopping_counts_checks_without_improvement() -> None:
    stopping = EarlyStopping(patience=2, tolerance=0.1)
    assert [stopping.check(loss) for loss in (1.0, 0.95, 0.85, 0.8, 0.76)] == [
        False,
        False,
        False,
        False,
        True,
    ]
    assert not any(EarlyStopping(patience=0).check(1.0) for _ in range(9))


def test_a_loss_that_is_not_finite_names_the_step_and_the_way_out(setting: Setting) -> None:
    with pytest.raises(
        UserError, match=r"the loss of step 0 is not finite: lower lr .* or strength \(now 1e\+38"
    ):
        list(setting.run(strength=1e38))


def test_a_curve_has_equal_columns(tmp_path: Any) -> None:
    curve = LearningCurve()
    curve.append({"kl": 0.5, "x": 1.0})
    with pytest.raises(ValueError, match="cannot take kl"):
        curve.append({"kl": 0.4})
    curve.write(tmp_path / "learning.csv")
    assert (tmp_path / "learning.csv").read_text() == "step,kl,x\n0,0.5,1\n"
    assert curve.tensors()["kl"].tolist() == [0.5]
