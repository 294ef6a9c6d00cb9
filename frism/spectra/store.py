"""Store spectra in a folder: one safetensors file per matrix, under a key of all that it depends on.

`<folder>/<key>/<canonical name>.safetensors` holds u (d_out, k), s (k,), vh (k, d_in) and, where the spectrum
is truncated, tail (a scalar). Its metadata have one entry, "frism.spectrum": JSON with version, key, name,
shape, the sha256 of the checkpoints B and R, settings, quality, the sha256 of the tensors and what computed
them. Files are written whole or not at all, so that any number of processes may share a folder.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from frism import __version__
from frism.errors import UserError
from frism.files import atomic_write
from frism.spectra.settings import SpectrumSettings

if TYPE_CHECKING:  # what a folder holds is known from headers alone
    import torch

    from frism.spectra.quality import Quality
    from frism.spectra.spectrum import Spectrum

VERSION = 2  # of format and solvers: another one makes every spectrum anew
ENTRY = "frism.spectrum"
Metadata = dict[str, Any]  # JSON of a file, see above


@dataclass(frozen=True)
class SpectrumStore:
    """Read and write the spectra of one B and R under one choice of settings.

    Attributes:
        root: the folder of all keys. base, lrm: sha256 of the checkpoints' content.
    """

    root: Path
    base: str
    lrm: str
    settings: SpectrumSettings

    @property
    def key(self) -> str:
        """Return 16 hex digits of checkpoints, settings and version."""
        content = {"version": VERSION, "base": self.base, "lrm": self.lrm, **self.settings.model_dump()}
        return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def folder(self) -> Path:
        """Return the folder of this key's files."""
        return self.root / self.key

    def path(self, name: str) -> Path:
        """Return the file of one matrix, by its canonical tensor name."""
        return self.folder / f"{name}.safetensors"

    def read_metadata(self, name: str, shape: tuple[int, ...]) -> Metadata | None:
        """Return the metadata of one matrix's file without reading its tensors; None where there is no file.

        Raises UserError for a file that is damaged or holds something else.
        """
        path = self.path(name)
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="numpy") as file:
                metadata: Metadata = json.loads((file.metadata() or {})[ENTRY])
                shapes = {part: file.get_slice(part).get_shape() for part in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise _damaged(path, f"is truncated or not a spectrum ({_reason(error)})") from error
        rank = self.settings.count_directions(shape)
        expected = {"u": [shape[0], rank], "s": [rank], "vh": [rank, shape[1]]}
        if rank < min(shape):
            expected["tail"] = []
        if (metadata.get("key"), metadata.get("name"), shapes) != (self.key, name, expected):
            raise _damaged(path, f"is not the spectrum of {name} in these checkpoints and settings")
        return metadata

    def read(self, name: str, shape: tuple[int, ...], device: "str | torch.device") -> "Spectrum | None":
        """Return one matrix's spectrum on a device, factors in their stored dtype; None where there is none.

        On the CPU the tensors are mapped, not copied: the system reads what is used, and takes memory back.
        Raises UserError as `read_metadata`.
        """
        if self.read_metadata(name, shape) is None:
            return None
        import torch

        from frism.spectra.spectrum import Spectrum

        path = self.path(name)
        try:
            with safe_open(path, framework="pt", device=str(device)) as file:
                tensors = {part: file.get_tensor(part) for part in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise _damaged(path, f"cannot be read ({_reason(error)})") from error
        s = tensors["s"]
        if not bool(torch.isfinite(s).all()) or bool((s < 0).any()) or bool((s.diff() > 0).any()):
            raise _damaged(path, "holds singular values that are infinite, negative or out of order")
        return Spectrum(tensors["u"], s, tensors["vh"], tensors.get("tail"))

    def write(self, name: str, spectrum: "Spectrum", quality: "Quality") -> None:
        """Write one matrix's spectrum. Raises UserError when the disk is full or the folder is read-only."""
        import torch
        from safetensors.torch import save_file

        tensors = {"u": spectrum.u, "s": spectrum.s, "vh": spectrum.vh}
        if spectrum.tail is not None:
            tensors["tail"] = spectrum.tail
        tensors = {part: tensor.detach().cpu().contiguous() for part, tensor in tensors.items()}
        metadata = {
            "version": VERSION,
            "key": self.key,
            "name": name,
            "shape": [spectrum.u.shape[0], spectrum.vh.shape[1]],
            "base": self.base,
            "lrm": self.lrm,
            "settings": self.settings.model_dump(),
            "quality": asdict(quality),
            "sha256": digest_tensors(tensors),
            "made by": {"frism": __version__, "torch": torch.__version__},
        }
        with atomic_write(self.path(name)) as temporary:
            try:
                save_file(tensors, temporary, {ENTRY: json.dumps(metadata)})
            except SafetensorError as error:
                raise UserError(
                    f"cannot write {self.path(name)} ({_reason(error)}): free some space."
                ) from error

    def check(self, name: str, shape: tuple[int, ...]) -> None:
        """Read one matrix's tensors and compare their sha256 with what the file says.

        Raises UserError when the file is missing, damaged or changed.
        """
        metadata = self.read_metadata(name, shape)
        if metadata is None:
            raise UserError(f"{self.path(name)} is missing: run `frism spectrum` again.")
        with safe_open(self.path(name), framework="pt") as file:
            tensors = {part: file.get_tensor(part) for part in file.keys()}  # noqa: SIM118
        if digest_tensors(tensors) != metadata["sha256"]:
            raise _damaged(self.path(name), "has tensors that differ from their sha256")

    def digest(self, shapes: Mapping[str, tuple[int, ...]]) -> str:
        """Return the sha256 of the spectra of these matrices (name to shape) from the digests in their files.

        Raises UserError for one that is missing or damaged.
        """
        rows = []
        for name, shape in sorted(shapes.items()):
            metadata = self.read_metadata(name, shape)
            if metadata is None:
                raise UserError(f"{self.path(name)} is missing: run `frism spectrum` again.")
            rows.append([name, metadata["sha256"]])
        return sha256(json.dumps([self.key, rows]).encode()).hexdigest()


def count_bytes(settings: SpectrumSettings, shapes: Iterable[tuple[int, ...]]) -> int:
    """Return the bytes of the tensors of spectra with these shapes, without the files' headers."""
    width = 4 if settings.dtype == "float32" else 2
    return sum(
        settings.count_directions(shape) * (width * sum(shape) + 4)
        + 4 * (settings.count_directions(shape) < min(shape))
        for shape in shapes
    )


def digest_tensors(tensors: "Mapping[str, torch.Tensor]") -> str:
    """Return the sha256 over the bytes of CPU tensors, in the order of their names."""
    import torch

    content = sha256()
    for name in sorted(tensors):
        content.update(name.encode())
        content.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return content.hexdigest()


def _damaged(path: Path, fault: str) -> UserError:
    return UserError(f"{path} {fault}: delete it, and it is computed again.")


def _reason(error: Exception) -> str:
    return (f"no {error.args[0]}" if isinstance(error, KeyError) else str(error)).rstrip(".")
