"""Kept spectra come back as they were; a file that is damaged, foreign or changed is one sentence."""

import json
import os
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from frism.errors import UserError
from frism.spectra.quality import decompose_and_measure
from frism.spectra.settings import SpectrumSettings
from frism.spectra.spectrum import Spectrum
from frism.spectra.store import ENTRY, SpectrumStore, count_bytes
from tests.frism.spectra.matrices import make

NAME, SHAPE = "layers.0.mlp.up_proj.weight", (24, 10)


def filled(root: Path, settings: SpectrumSettings | None = None) -> tuple[SpectrumStore, Spectrum]:
    store = SpectrumStore(root, "b" * 64, "c" * 64, settings or SpectrumSettings())
    spectrum, quality = decompose_and_measure(make("power", *SHAPE), store.settings)
    store.write(NAME, spectrum, quality)
    return store, spectrum


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("rank", [None, 4, 10, 99])
def test_the_same_bits_come_back(tmp_path: Path, dtype: str, rank: int | None) -> None:
    store, spectrum = filled(tmp_path, SpectrumSettings(dtype=dtype, rank=rank))
    read = store.read(NAME, SHAPE, "cpu")
    assert read is not None
    for part in ("u", "s", "vh", "tail"):
        one, other = getattr(read, part), getattr(spectrum, part)
        assert (one is None) == (other is None) == (part == "tail" and rank != 4)
        if one is not None:
            assert one.dtype == other.dtype
            assert torch.equal(one, other)
    assert read.u.dtype == getattr(torch, dtype)
    assert read.s.dtype == torch.float32
    store.check(NAME, SHAPE)
    size = count_bytes(store.settings, [SHAPE])
    assert size == sum(tensor.nbytes for tensor in load_file(store.path(NAME)).values())
    assert [path.name for path in store.folder.iterdir()] == [f"{NAME}.safetensors"]


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    store, _ = filled(tmp_path)
    facts = store.read_metadata(NAME, SHAPE)
    assert facts is not None
    assert facts["base"] == "b" * 64
    assert facts["lrm"] == "c" * 64
    assert facts["settings"] == {"rank": None, "solver": "auto", "dtype": "float32"}
    assert facts["quality"]["residual"] < 1e-5
    assert facts["quality"]["solver"] == "gesdd"
    assert set(facts["quality"]) == {"residual", "orthogonality", "tail", "solver", "device", "seconds"}
    assert store.read_metadata("layers.1.mlp.up_proj.weight", SHAPE) is None
    assert store.read("layers.1.mlp.up_proj.weight", SHAPE, "cpu") is None


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["b", "d"]), st.sampled_from(["c", "e"]), st.sampled_from([None, 3, 4]),
            st.sampled_from(["auto", "gram"]), st.sampled_from(["float32", "bfloat16"]),
        ),
        min_size=2, max_size=2, unique=True,
    )
)  # fmt: skip
def test_another_origin_another_key(choices: list[tuple[str, str, int | None, str, str]]) -> None:
    keys = {
        SpectrumStore(Path(), base, lrm, SpectrumSettings(rank=rank, solver=solver, dtype=dtype)).key
        for base, lrm, rank, solver, dtype in choices
    }
    assert len(keys) == 2


@given(st.floats(0, 1, exclude_max=True))
@settings(deadline=None)
def test_a_file_cut_short_is_named(tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
    store, _ = filled(tmp_path_factory.mktemp("cut"))
    path = store.path(NAME)
    os.truncate(path, int(share * path.stat().st_size))
    for use in (store.read_metadata, store.check, lambda name, shape: store.read(name, shape, "cpu")):
        with pytest.raises(UserError, match="is truncated or not a spectrum") as raised:
            use(NAME, SHAPE)
        assert str(path) in str(raised.value)
        assert "delete it, and it is computed again." in str(raised.value)


def test_a_file_of_another_place_is_named(tmp_path: Path) -> None:
    store, spectrum = filled(tmp_path)
    others = {
        "another matrix": ("layers.1.mlp.up_proj.weight", {}),
        "another key": (NAME, {"key": "0" * 16}),
        "another shape": (NAME, {"u": spectrum.u[:20]}),
        "a tail where there is none": (NAME, {"tail": torch.tensor(1.0)}),
    }
    content = {"u": spectrum.u, "s": spectrum.s, "vh": spectrum.vh}
    with safe_open(store.path(NAME), framework="numpy") as opened:
        facts = json.loads(opened.metadata()[ENTRY])
    for name, change in others.values():
        tensors = content | {part: value for part, value in change.items() if part in ("u", "tail")}
        tensors = {part: tensor.contiguous() for part, tensor in tensors.items()}
        changed = facts | {part: value for part, value in change.items() if part == "key"}
        save_file(tensors, store.path(name), {ENTRY: json.dumps(changed)})
        with pytest.raises(UserError, match="is not the spectrum of") as raised:
            store.read(name, SHAPE, "cpu")
        assert str(store.path(name)) in str(raised.value)
    save_file(content, store.path(NAME))
    with pytest.raises(UserError, match=rf"not a spectrum \(no {ENTRY}\)"):
        store.read(NAME, SHAPE, "cpu")


def test_values_that_changed_are_found(tmp_path: Path) -> None:
    store, spectrum = filled(tmp_path)
    digest = store.digest({NAME: SHAPE})
    with safe_open(store.path(NAME), framework="numpy") as opened:
        metadata = opened.metadata()
    tensors = {"u": spectrum.u.clone(), "s": spectrum.s.clone(), "vh": spectrum.vh}
    tensors["u"][3, 3] += 1e-6
    save_file(tensors, store.path(NAME), metadata)
    assert store.digest({NAME: SHAPE}) == digest  # of what the files say
    with pytest.raises(UserError, match="tensors that differ from their sha256"):
        store.check(NAME, SHAPE)
    tensors["s"][2] = float("nan")
    save_file(tensors, store.path(NAME), metadata)
    with pytest.raises(UserError, match="infinite, negative or out of order"):
        store.read(NAME, SHAPE, "cpu")


def test_a_digest_needs_every_file(tmp_path: Path) -> None:
    store, _ = filled(tmp_path)
    assert store.digest({NAME: SHAPE}) != store.digest({})
    for use in (lambda: store.digest({NAME: SHAPE, "x": SHAPE}), lambda: store.check("x", SHAPE)):
        with pytest.raises(UserError, match=r"x\.safetensors is missing: run `frism spectrum` again"):
            use()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="a part of that path is a file"):
        filled(tmp_path / "file")
