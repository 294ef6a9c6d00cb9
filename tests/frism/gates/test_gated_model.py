"""The gated model is the merged model, learns as it would, and is the teacher again outside."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from frism.errors import UserError
from frism.gates import branch
from frism.gates.gated_model import GatedInjection
from frism.spectra.gains import measure_gains
from frism.spectra.spectra import Spectra
from frism.spectra.spectrum import decompose
from tests.frism.gates.gated_qwen import GATES, STRENGTH, Case, spectrum


@pytest.fixture(params=["branch", "rebuilt, kept", "rebuilt twice"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every way through a layer, whatever the sizes would choose."""
    monkeypatch.setattr(branch, "MAX_KEPT_ENTRIES", 0 if request.param == "rebuilt twice" else 1 << 22)
    monkeypatch.setattr("frism.gates.gated_model.rebuilding_pays", lambda *_: request.param != "branch")
    return request.param


@pytest.mark.parametrize("rank", [None, 5])
@pytest.mark.parametrize("gates", GATES)
def test_loss_and_gradients_are_those_of_autograd_through_the_merged_weights(way, gates, rank) -> None:
    case = Case(rank=rank)
    injection = case.injection(GATES[gates])
    assert bool(injection.tails) == (rank is not None and gates != "shared")
    wanted = case.dense(injection, alpha=0.3)
    got = case.gated(injection, alpha=0.3)
    torch.testing.assert_close(got[0], wanted[0], rtol=1e-12, atol=0)
    for mine, reference in zip(got[1], wanted[1], strict=True):
        assert (mine - reference).norm() <= 1e-8 * reference.norm() + 1e-14


@pytest.mark.parametrize("rank", [None, 5])
@pytest.mark.parametrize(("logit", "share"), [(torch.inf, 1.0), (0.0, 0.5), (-torch.inf, 0.0)])
def test_limits_of_the_gates_are_plain_injection(way, rank, logit, share) -> None:
    case = Case(rank=rank)
    injection = case.injection()
    with torch.no_grad():
        for parameter in injection.parameters():
            parameter.fill_(logit)
    merged = {f"model.{n}": m.weight + STRENGTH * share * case.tau[n] for n, m in case.modules.items()}
    expected = torch.func.functional_call(case.model, merged, (case.ids,)).logits
    with torch.no_grad(), injection.apply():
        torch.testing.assert_close(case.model(case.ids).logits, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(injection.injected_energy().item(), share**2)


def test_sign_and_order_of_the_singular_vectors_change_nothing() -> None:
    case = Case(rank=6)
    before = case.injection()
    wanted = case.gated(before)
    generator = torch.Generator().manual_seed(3)
    orders = {name: torch.randperm(6, generator=generator) for name in case.spectra}
    for name, own in case.spectra.items():
        signs = torch.randint(0, 2, (6,), generator=generator) * 2.0 - 1
        moved = ((own.u * signs)[:, orders[name]], own.s[orders[name]], (own.vh.T * signs).T[orders[name]])
        case.spectra[name] = replace(own, **dict(zip(("u", "s", "vh"), moved, strict=True)))
    after = case.injection()
    with torch.no_grad():
        for name, order in orders.items():
            after.logits[name].copy_(before.logits[name][order])
    got = case.gated(after)
    torch.testing.assert_close(got[0], wanted[0])
    for (name, order), mine, reference in zip(orders.items(), got[1], wanted[1], strict=False):
        torch.testing.assert_close(mine, reference[order], msg=name)


def bits(case: Case) -> list[Tensor]:
    return [module.weight.detach().clone() for module in case.modules.values()]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rank", [None, 5])
def test_outside_the_model_is_the_teacher_bit_for_bit(rank, dtype) -> None:
    case = Case(dtype, rank)
    injection, weights = case.injection(), bits(case)
    teacher = case.model(case.ids).logits
    for _ in range(2):
        loss, _ = case.gated(injection)
        assert loss != case.loss(case.model(case.ids))
        assert torch.equal(case.model(case.ids).logits, teacher)
    assert all(torch.equal(w, m.weight) for w, m in zip(weights, case.modules.values(), strict=True))
    case.gated(injection)
    injection.restore()
    assert all(torch.equal(w, m.weight) for w, m in zip(weights, case.modules.values(), strict=True))
    assert all("forward" not in vars(m) for m in case.modules.values())


def test_an_error_inside_leaves_the_teacher() -> None:
    case = Case(rank=5)
    injection, teacher = case.injection(), case.model(case.ids).logits
    with pytest.raises(KeyError), injection.apply(), injection.apply():
        case.model(case.ids)
        raise KeyError
    assert torch.equal(case.model(case.ids).logits, teacher)


def test_tau_is_read_when_a_tail_has_moved_or_wants_its_gradient_and_at_no_other_time() -> None:
    case = Case(rank=5)
    injection, names = case.injection(), sorted(case.modules)
    injection.set_tail_updates(False)

    def step() -> list[str]:
        case.reads.clear()
        with injection.apply():
            injection_loss = case.loss(case.model(case.ids)) - injection.injected_energy()
            injection_loss.backward()
        return sorted(case.reads)

    assert step() == names  # merged for the first time
    assert step() == []
    assert all(tail.grad is None for tail in injection.tails.values())
    injection.set_tail_updates(True)
    assert step() == names  # for the gradients
    with torch.no_grad():
        injection.tails[names[0]].add_(0.1)
    injection.set_tail_updates(False)
    assert step() == names[:1]
    injection.tails[names[1]].data.add_(0.1)  # which no version counter notices
    assert step() == names[1:2]


def test_tails_at_rest_change_no_other_gradient_and_a_moved_tail_is_exact() -> None:
    case = Case(rank=5)
    injection = case.injection()
    count = len(injection.logits)
    for shift in (0.0, 0.7):
        with torch.no_grad():
            for tail in injection.tails.values():
                tail.add_(shift)
        injection.set_tail_updates(True)
        wanted = case.dense(injection)
        with_tails = case.gated(injection)
        injection.set_tail_updates(False)
        with injection.apply():
            loss = case.loss(case.model(case.ids))
            at_rest = torch.autograd.grad(loss, list(injection.logits.values()))
        for mine, other, reference in zip(at_rest, with_tails[1][:count], wanted[1][:count], strict=True):
            assert torch.equal(mine, other)
            assert (mine - reference).norm() <= 1e-8 * reference.norm()


@pytest.mark.parametrize("factors", ["resident", "streamed"])
@pytest.mark.parametrize("rank", [None, 5])
def test_checkpointing_and_streaming_change_no_bit(factors, rank) -> None:
    case = Case(torch.float32, rank)
    plain = case.injection()
    wanted = case.gated(plain)
    plain.restore()
    other = case.injection(factors=factors)
    for layer in case.model.model.layers:
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
    got = case.gated(other)
    assert torch.equal(got[0], wanted[0])
    assert all(torch.equal(a, b) for a, b in zip(got[1], wanted[1], strict=True))


def test_layers_that_accelerate_has_placed_keep_its_hooks() -> None:
    accelerate = pytest.importorskip("accelerate")
    case = Case(rank=5)
    injection = case.injection()
    wanted = case.gated(injection)
    injection.restore()
    placed = Case(rank=5)
    accelerate.dispatch_model(placed.model, {"": "cpu"}, force_hooks=True)
    hooked = dict(placed.modules)
    assert all(hasattr(module, "_hf_hook") for module in hooked.values())
    passed: list[str] = []
    for name, module in hooked.items():
        before: Callable[..., Any] = module._hf_hook.pre_forward
        module._hf_hook.pre_forward = lambda *a, n=name, b=before, **k: (passed.append(n), b(*a, **k))[1]
    teacher = placed.model(placed.ids).logits
    other = placed.injection()
    passed.clear()
    got = placed.gated(other)
    assert sorted(passed) == sorted(hooked)
    for mine, reference in zip((got[0], *got[1]), (wanted[0], *wanted[1]), strict=True):
        torch.testing.assert_close(mine, reference)
    assert torch.equal(placed.model(placed.ids).logits, teacher)


def test_offloaded_weights_are_used_while_they_are_there_and_refused_where_a_tail_is_kept_in_them() -> None:
    accelerate = pytest.importorskip("accelerate")
    wanted_case = Case()
    wanted = wanted_case.gated(wanted_case.injection())
    case = Case()
    accelerate.cpu_offload(case.model, execution_device="cpu")
    assert {module.weight.device.type for module in case.modules.values()} == {"meta"}
    got = case.gated(case.injection())
    for mine, reference in zip((got[0], *got[1]), (wanted[0], *wanted[1]), strict=True):
        torch.testing.assert_close(mine, reference)
    case.spectra = {name: spectrum(tau, 5) for name, tau in case.tau.items()}
    with pytest.raises(UserError, match="is offloaded, but a truncated spectrum writes to it"):
        case.injection()


def test_what_is_fitted_gives_the_same_merge() -> None:
    case = Case(torch.float32, rank=5)
    for gates in GATES.values():
        injection = case.injection(gates)
        fitted = injection.coefficients()
        values = [value for own in fitted.values() for value in own.values()]
        assert all(value.dtype == torch.float32 and not value.requires_grad for value in values)
        with torch.no_grad(), injection.apply():
            student = case.model(case.ids).logits
        injection.restore()
        merged = {
            f"model.{name}": module.weight
            + STRENGTH
            * case.spectra[name].gate(fitted[name]["open"], fitted[name]["open_tail"], case.tau[name])
            for name, module in case.modules.items()
        }
        expected = torch.func.functional_call(case.model, merged, (case.ids,)).logits
        torch.testing.assert_close(student, expected, rtol=1e-3, atol=1e-4)


def test_energy_and_quantiles_at_the_start() -> None:
    case = Case(rank=5)
    injection = GatedInjection(case.modules, case.spectra, STRENGTH, task_vectors=case.tau.__getitem__)
    whole = sum(tau.square().sum() for tau in case.tau.values())
    torch.testing.assert_close(injection.injected_energy().item(), 0.25)
    torch.testing.assert_close(injection.injected_energy("none"), 0.25 * whole)
    assert injection.quantiles(0.1, 0.5, 0.9) == [0.5, 0.5, 0.5]
    assert list(injection.open_tail_fractions()) == list(case.modules)


def test_a_truncated_spectrum_needs_the_task_vectors() -> None:
    with pytest.raises(ValueError, match="task vectors"):
        Case(rank=5).injection(task_vectors=None)


def test_gains_measure_the_injected_norm(triple) -> None:
    name = triple.names("mat")[0]
    tau = triple.read("lrm", name) - triple.read("base", name)
    logits = torch.linspace(-3, 3, min(tau.shape))
    gain = measure_gains(Spectra(triple), {name: {"open": torch.sigmoid(logits)}}, strength=1.5)[name]
    torch.testing.assert_close(gain.whole, tau.norm())
    torch.testing.assert_close(gain.injected, decompose(tau).gate(1.5 * torch.sigmoid(logits)).norm())
