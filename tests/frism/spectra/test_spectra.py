"""A triple's spectra: the same from a folder as computed on the spot, and exact through the tail."""

from pathlib import Path

import pytest
import torch

from frism.errors import UserError
from frism.method.fitting import Fitting
from frism.spectra import spectra as module
from frism.spectra.settings import SpectrumSettings
from frism.spectra.spectra import Spectra
from frism.triples.triple import Triple

NAMES = [
    "layers.0.self_attn.q_proj.weight", "layers.2.self_attn.k_proj.weight", "layers.5.mlp.down_proj.weight",
    "layers.1.mlp.gate_proj.weight",
]  # fmt: skip
CHOICES = [
    SpectrumSettings(), SpectrumSettings(dtype="bfloat16"), SpectrumSettings(rank=12),
    SpectrumSettings(rank=12, dtype="bfloat16"), SpectrumSettings(rank=12, solver="gram"),
]  # fmt: skip


@pytest.mark.parametrize("settings", CHOICES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_a_folder_gives_the_bits_that_computing_gives(
    triple: Triple, tmp_path: Path, settings: SpectrumSettings, name: str
) -> None:
    computed = Spectra(triple, settings).load(name)
    kept, again = (Spectra(triple, settings, tmp_path).load(name) for _ in range(2))
    for part in ("u", "s", "vh", "tail"):
        values = [getattr(spectrum, part) for spectrum in (computed, kept, again)]
        assert all(value is None for value in values) or (
            torch.equal(values[0], values[1]) and torch.equal(values[1], values[2])
        )


def test_what_a_folder_has_is_not_computed(
    triple: Triple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Spectra(triple, folder=tmp_path).load(NAMES[0])
    monkeypatch.setattr(module, "decompose_and_measure", None)
    Spectra(triple, folder=tmp_path).load(NAMES[0])
    with pytest.raises(TypeError):
        Spectra(triple, SpectrumSettings(rank=3), tmp_path).load(NAMES[0])


@pytest.mark.parametrize("settings", CHOICES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_the_sum_is_tau_and_its_energy_the_squared_norm(
    triple: Triple, settings: SpectrumSettings, name: str
) -> None:
    tau = triple.read("lrm", name) - triple.read("base", name)
    spectra = Spectra(triple, settings)
    assert torch.equal(spectra.task_vector(name), tau)
    spectrum, one = spectra.load(name), torch.ones(())
    whole = spectrum.gate(torch.ones_like(spectrum.s), one, tau)
    exact = settings.rank is not None or settings.dtype == "float32"
    torch.testing.assert_close(whole, tau, rtol=0, atol=float(tau.norm()) * (1e-6 if exact else 1e-3))
    torch.testing.assert_close(spectrum.total, tau.square().sum(), rtol=3e-3, atol=0)
    opened = torch.rand(spectrum.s.shape, generator=torch.Generator().manual_seed(0))
    part = spectrum.gate(opened, one / 3, tau)
    torch.testing.assert_close(spectrum.energy(opened, one / 3), part.square().sum(), rtol=3e-3, atol=0)


def test_the_order_of_the_work_does_not_matter(triple: Triple) -> None:
    settings = SpectrumSettings(rank=5, solver="randomised")
    first = [Spectra(triple, settings).load(name).u for name in NAMES]
    last = [Spectra(triple, settings).load(name).u for name in reversed(NAMES)]
    assert all(torch.equal(one, other) for one, other in zip(first, reversed(last), strict=True))


def test_spectra_belong_to_the_contents_of_base_and_lrm(
    triple: Triple, copied_folders: dict[str, Path], tmp_path: Path
) -> None:
    key = Spectra(triple, folder=tmp_path).store.key
    assert Spectra(Triple.open(**copied_folders), folder=tmp_path).store.key == key
    swapped = Triple.open(copied_folders["lrm"], copied_folders["vlm"], copied_folders["base"])
    assert Spectra(swapped, folder=tmp_path).store.key != key


def test_only_matrices_have_directions(triple: Triple, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"norm\.weight has shape \[128\]: only matrices"):
        Spectra(triple, folder=tmp_path).load("norm.weight")


@pytest.mark.parametrize("of", ["lrm", "vlm", "sum"])
def test_other_task_vectors_have_spectra_of_their_own(triple: Triple, tmp_path: Path, of: str) -> None:
    """Kept in one folder, each under a key of its own; read again, not computed again."""
    name = "layers.1.mlp.up_proj.weight"
    base, vlm, lrm = (triple.read(role, name) for role in ("base", "vlm", "lrm"))
    tau = {"lrm": lrm - base, "vlm": vlm - base, "sum": vlm + lrm - 2 * base}[of]
    spectra = Spectra(triple, folder=tmp_path).of(of)
    found = spectra.load(name)
    torch.testing.assert_close((found.u * found.s) @ found.vh, tau, atol=1e-5, rtol=1e-4)
    stored = spectra.store.path(name)
    before = stored.stat().st_mtime_ns
    again = Spectra(triple, folder=tmp_path).of("lrm").of(of).load(name)
    assert torch.equal(again.s, found.s) and stored.stat().st_mtime_ns == before
    keys = {Spectra(triple, folder=tmp_path).of(kind).store.key for kind in ("lrm", "vlm", "sum")}
    assert len(keys) == 3


def test_a_method_reads_them_through_its_site(triple: Triple, tmp_path: Path) -> None:
    fitting = Fitting(triple, spectra=Spectra(triple, folder=tmp_path))
    site = next(iter(fitting.sites()))
    assert site.spectrum is site.spectrum is not None
    assert site.spectrum_v is not None and site.spectrum_sum is not None
    for spectrum, tau in ((site.spectrum_v, site.tau_v), (site.spectrum_sum, site.tau_v + site.tau_r)):
        torch.testing.assert_close(spectrum.s, torch.linalg.svdvals(tau), atol=1e-5, rtol=1e-4)
