"""Pieces, threads, arrays: none of them changes a bit of a merge; and casts round as torch's do."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from frism.checkpoints.dtypes import FLOATS
from frism.errors import UserError
from frism.merging import pieces as merging
from frism.merging.backends import NumpyBackend, TorchBackend
from frism.merging.pieces import Merger, Piece, Result, ScratchBuffers, run_tasks
from frism.method.discovery import find, list_names
from frism.method.fitting import Fitting
from frism.triples.triple import Triple
from tests.support import architectures

ARITHMETIC = [name for name in list_names() if find(name).arithmetic and not find(name).fit]
UNFITTED = [name for name in list_names() if not find(name).fit and not find(name).mix]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Triple:
    """A text triple stored as fp16, fp32 and bf16, all tensors in scope."""
    folder = tmp_path_factory.mktemp("mixed")
    for seed, (role, dtype) in enumerate(
        (("base", torch.float16), ("vlm", torch.float32), ("lrm", torch.bfloat16))
    ):
        architectures.text_model("qwen2", seed=seed).to(dtype).save_pretrained(folder / role)
        architectures.tokenizer().save_pretrained(folder / role)
    return Triple.open(folder / "base", folder / "vlm", folder / "lrm", "all", text_receiver=True)


def merged(
    triple: Triple,
    method: str,
    *,
    device: str | None = None,
    threads: int = 1,
    seed: int = 0,
    **params: object,
) -> dict[str, bytes]:
    """Every tensor's fp32 bytes."""
    found = find(method)
    filled: dict[str, np.ndarray] = {}

    def use(piece: Piece, result: Result) -> None:
        flat = np.asarray(result.merged).reshape(-1)
        filled[piece.name][piece.first : piece.last] = flat

    with Merger(
        triple, found, found.validate(params), scope=triple.scope, seed=seed, device=device
    ) as merger:
        for name in merger.names:
            filled[name] = np.full(triple.header("vlm", name).values, np.nan, np.float32)
        run_tasks((task for name in merger.names for task in merger.make_tasks(name, use)), merger, threads)
    return {name: values.tobytes() for name, values in filled.items()}


@pytest.mark.parametrize("method", ARITHMETIC)
def test_numpy_and_torch_give_the_same_bits(mixed: Triple, method: str) -> None:
    found = find(method)
    floats = {name: 0.37 for name, parameter in found.parameters.items() if parameter.type == "float"}
    with Merger(mixed, found, found.validate(floats), scope="all") as merger:
        assert isinstance(merger.backend, NumpyBackend)
    assert merged(mixed, method, **floats) == merged(mixed, method, device="cpu", **floats)


@pytest.mark.parametrize("method", UNFITTED)
def test_threads_and_pieces_change_nothing(
    mixed: Triple, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = merged(mixed, method, seed=3)
    assert merged(mixed, method, seed=3, threads=3) == whole
    monkeypatch.setattr(NumpyBackend, "piece", 101)
    monkeypatch.setattr(merging, "RUN", 300)
    plain = TorchBackend.__init__

    def small(self: TorchBackend, device: str) -> None:
        plain(self, device)
        self.piece = 101

    monkeypatch.setattr(TorchBackend, "__init__", small)
    assert merged(mixed, method, seed=3, threads=3) == whole


def test_random_methods_draw_anew_for_every_piece(mixed: Triple, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "PIECE", 64)
    monkeypatch.setattr(merging, "RUN", 128)
    dropped = merged(mixed, "dare_linear", seed=1, strength=1.0, density=0.5)
    assert merged(mixed, "dare_linear", seed=1, strength=1.0, density=0.5, threads=3) == dropped
    assert merged(mixed, "dare_linear", seed=2, strength=1.0, density=0.5) != dropped
    name = "embed_tokens.weight"
    vlm = mixed.read("vlm", name).flatten().numpy()
    kept = np.frombuffer(dropped[name], np.float32) != vlm
    runs = kept[: len(kept) // 64 * 64].reshape(-1, 64)
    assert len(np.unique(runs, axis=0)) == len(runs)
    assert abs(kept.mean() - 0.5) < 0.05


def test_an_error_in_a_thread_stops_the_others(mixed: Triple) -> None:
    done: list[int] = []

    def task(number: int) -> Callable[[object], None]:
        def run(buffers: object) -> None:
            if number == 5:
                raise UserError("five")
            done.append(number)

        return run

    found = find("inject")
    with (
        Merger(mixed, found, found.validate({}), scope="all") as merger,
        pytest.raises(UserError, match="five"),
    ):
        run_tasks((task(number) for number in range(3000)), merger, 2)
    assert len(done) < 3000


def test_dtypes_that_hold_no_weights_are_refused(mixed: Triple, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(FLOATS, "BF16")
    with pytest.raises(UserError, match=r"lrm.*is stored as BF16"):
        Merger(mixed, find("inject"), {"strength": 1.0}, scope="all")


def test_a_file_that_shrinks_while_it_is_read(copied_folders: dict[str, Path]) -> None:
    triple = Triple.open(**copied_folders)
    with (copied_folders["lrm"] / "model.safetensors").open("r+b") as stream:
        stream.truncate(2_000_000)
    with pytest.raises(UserError, match=r"lrm/model\.safetensors became shorter while it was read"):
        merged(triple, "inject")


values = arrays(np.float32, st.integers(1, 40), elements=st.floats(-(2.0**126), 2.0**126, width=32))
# Values that lie half way between two of a short format, and their neighbours.
halfway = st.builds(
    lambda bits, low: np.array([(b << 16) | (0x8000 + low) for b in bits], np.uint32).view(np.float32),
    st.lists(st.integers(0, 0x7E00), min_size=1, max_size=20),
    st.sampled_from([-1, 0, 1]),
)


@settings(deadline=None)
@given(values | halfway, st.sampled_from(list(FLOATS)))
def test_casts_round_as_torch_does(given_values: np.ndarray, dtype: str) -> None:
    numpy, torches = NumpyBackend(), TorchBackend()
    block, stored = numpy.narrow(given_values, dtype)
    other, torch_stored = torches.narrow(torch.from_numpy(given_values.copy()), dtype)
    assert bytes(block) == bytes(other)
    assert stored.tobytes() == torch_stored.numpy().tobytes()
    for backend in (numpy, torches):
        buffer, handle = backend.allocate(len(block))
        buffer[:] = block
        widened = np.asarray(backend.widen(handle, dtype, given_values.shape))
        assert widened.tobytes() == stored.tobytes()


@settings(deadline=None)
@given(values)
def test_norms_and_counts_agree_between_backends(given_values: np.ndarray) -> None:
    numpy, torches = NumpyBackend(), TorchBackend()
    tensor = torch.from_numpy(given_values.copy())
    exact = float(np.linalg.norm(given_values.astype(np.float64)))
    for norm in (numpy.norm(given_values), torches.norm(tensor)):
        assert norm == pytest.approx(exact, rel=1e-5, abs=1e-22)
    assert numpy.largest(given_values) == torches.largest(tensor) == abs(given_values).max()
    for bad in (float("nan"), float("inf")):
        broken = np.append(given_values, np.float32(bad))
        assert numpy.count_not_finite(broken) == torches.count_not_finite(torch.from_numpy(broken)) == 1
        assert not numpy.norm(broken) < float("inf")
        assert not torches.norm(torch.from_numpy(broken)) < float("inf")


def test_fitted_numbers_are_the_same_in_numpy_and_torch(mixed: Triple) -> None:
    found, results = find("metagpt"), []
    fitted = found.run_fit(Fitting(mixed, scope="all"), {})
    for device in (None, "cpu"):
        with Merger(mixed, found, {}, scope="all", fitted=fitted, device=device) as merger:
            buffers = ScratchBuffers(merger.backend)
            pieces = [merger.merge(p, buffers).merged for n in merger.names for p in merger.split(n)]
            results.append(b"".join(np.asarray(piece).tobytes() for piece in pieces))
    assert results[0] == results[1]
