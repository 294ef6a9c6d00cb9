"""tau_R by rows is tau_R, whether it is read each time or kept on the device."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from frism.errors import UserError
from frism.gates import task_vectors
from frism.gates.task_vectors import TaskVectors, slice_rows
from frism.spectra.spectra import Spectra
from frism.triples.triple import Triple
from tests.conftest import Folders

NAMES = ["layers.0.mlp.up_proj.weight", "layers.3.self_attn.k_proj.weight"]
ROWS = [slice(None), slice(0, 1), slice(5, 17), slice(30, 999)]


def layers(triple: Triple) -> dict[str, nn.Linear]:
    shapes = {name: triple.header("vlm", name).shape for name in NAMES}
    return {name: nn.Linear(d_in, d_out, bias=False) for name, (d_out, d_in) in shapes.items()}


@pytest.mark.parametrize("room", [None, 0, 1 << 40])
@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
def test_rows_are_those_of_the_task_vector(
    copied_folders: Folders, edit_weights: Callable, room: int | None, stored: torch.dtype
) -> None:
    for role in ("base", "lrm"):
        edit_weights(copied_folders[role], lambda t: t.update({n: v.to(stored) for n, v in t.items()}))
    triple = Triple.open(**copied_folders)
    found = TaskVectors(Spectra(triple), layers(triple), room=lambda device: room)
    for name in NAMES:
        tau = triple.read("lrm", name) - triple.read("base", name)
        for rows in ROWS:
            for _ in range(2):  # what is kept does not change
                assert torch.equal(found(name)[rows], tau[rows])


def test_what_is_kept_is_read_once(copied_folders: Folders) -> None:
    triple = Triple.open(**copied_folders)
    read, kept = (
        TaskVectors(Spectra(triple), layers(triple), room=lambda _, room=room: room) for room in (0, 1 << 40)
    )
    before = [vectors(NAMES[0])[:] for vectors in (read, kept)]
    for shard in triple.checkpoints["lrm"].shards():
        shard.unlink()
    assert torch.equal(kept(NAMES[0])[:], before[1])
    with pytest.raises(UserError, match="cannot read"):
        read(NAMES[0])[:]


def test_either_all_of_a_device_is_kept_or_nothing(triple: Triple) -> None:
    modules = layers(triple)
    need = sum(triple.header(role, name).bytes for role in ("lrm", "base") for name in NAMES)
    room = int(need / task_vectors.SHARE)
    for free, keeps in ((room, True), (room - 2, False)):
        found = TaskVectors(Spectra(triple), modules, room=lambda _, free=free: free)
        assert all((found(name) is found(name)) == keeps for name in NAMES)


@pytest.mark.parametrize("room", [0, 1 << 40])
def test_nan_is_found_in_what_is_read_whole(
    copied_folders: Folders, edit_weights: Callable, room: int
) -> None:
    """Which every matrix is once: for its spectrum, as here for the one gate of a matrix."""

    def spoil(tensors: dict[str, torch.Tensor]) -> None:
        (stored,) = (name for name in tensors if name.endswith(NAMES[0]))
        tensors[stored][3, 0] = torch.nan

    edit_weights(copied_folders["lrm"], spoil)
    triple = Triple.open(**copied_folders)
    with pytest.raises(UserError, match="has 1 NaN or infinite values"):
        TaskVectors(Spectra(triple), layers(triple), room=lambda device: room)(NAMES[0])[:]


@pytest.mark.parametrize(("d_out", "d_in"), [(1, 7), (11, 7), (100, 1), (3, 10**7)])
@pytest.mark.parametrize("entries", [1, 20, 1 << 20])
def test_pieces_cover_every_row_once(
    monkeypatch: pytest.MonkeyPatch, d_out: int, d_in: int, entries: int
) -> None:
    monkeypatch.setattr(task_vectors, "ENTRIES", entries)
    rows = [row for piece in slice_rows(d_out, d_in) for row in range(d_out)[piece]]
    assert rows == list(range(d_out))
    assert all((piece.stop - piece.start) * d_in <= max(entries, d_in) for piece in slice_rows(d_out, d_in))
