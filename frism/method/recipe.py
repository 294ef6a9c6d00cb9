"""Define a variant exactly in a small file (plus fitted coefficients): a merge, or a checkpoint as it is."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError

from frism.checkpoints.checkpoint import ADAPTER, Checkpoint
from frism.errors import UserError
from frism.files import atomic_write, read_json
from frism.method.discovery import find
from frism.method.fitted import Fitted
from frism.method.parameters import Value
from frism.spectra.settings import SpectrumSettings
from frism.triples.scopes import check_scope
from frism.triples.triple import DEFAULT_SCOPE, Triple

RECIPE, COEFFICIENTS = "recipe.json", "coefficients.safetensors"
# Where an exported checkpoint keeps them and the rest of its records: engines such as vLLM load every
# safetensors file of a checkpoint's root as weights.
RECORDS = "frism"


class Reference(BaseModel):
    """Name a checkpoint that is a variant as it is: its folder, and the sha256 of its content."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: str
    digest: str


class Recipe(BaseModel):
    """Hold a method, its complete parameters and seed, and the digests of checkpoints and coefficients.

    `spectrum` says how the singular directions were computed that the coefficients belong to, None for a
    method that needs none. `code` identifies the code that fits and merges; the caller computes it.
    `coefficients` is the sha256 of the fitted tensors as safetensors bytes, None for a method that fits
    nothing. Where `checkpoint` is given the variant is that checkpoint, not a merge. `base` is the folder of
    B where a variant of a study has another than the study's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    method: str | None = None
    checkpoint: Reference | None = None
    params: dict[str, Value] = {}
    scope: str = DEFAULT_SCOPE
    seed: int = 0
    triple: dict[str, str]
    spectrum: SpectrumSettings | None = None
    code: str = ""
    coefficients: str | None = None
    base: str | None = Field(None, exclude_if=lambda value: value is None)  # recipes are older than this

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.method is None) == (self.checkpoint is None):
            raise ValueError("a recipe has a method or a checkpoint")
        return self

    @classmethod
    def make(
        cls,
        triple: Triple,
        method: str,
        params: Mapping[str, object] | None = None,
        *,
        scope: str | None = None,
        seed: int = 0,
        spectrum: SpectrumSettings | None = None,
        code: str = "",
        fitted: Fitted | None = None,
        base: str | None = None,
    ) -> Self:
        """Check method, parameters and scope (default: the method's own) and return the recipe.

        `spectrum` (default: the default settings) is dropped for a method that needs none.

        Raises UserError for an unknown method, parameter or scope.
        """
        merging_method = find(method)
        scope = scope or merging_method.scope
        check_scope(scope)
        return cls(
            method=method,
            params=merging_method.validate(params or {}),
            scope=scope,
            seed=seed,
            spectrum=(spectrum or SpectrumSettings()) if "spectrum" in merging_method.needs else None,
            triple=triple.digest,
            code=code,
            coefficients=digest_coefficients(fitted),
            base=base,
        )

    @classmethod
    def from_checkpoint(cls, triple: Triple, folder: str | Path, *, seed: int = 0, code: str = "") -> Self:
        """Make the recipe of a variant that is a checkpoint. Raises UserError when the folder holds none."""
        digest = Checkpoint.open(folder).digest
        reference = Reference(folder=str(folder), digest=digest)
        return cls(checkpoint=reference, scope=triple.scope, seed=seed, triple=triple.digest, code=code)

    @property
    def name(self) -> str:
        """The method's name, or the name of the checkpoint's folder."""
        path = Path(self.checkpoint.folder if self.checkpoint else self.method or "")
        return path.name.removesuffix(".py")

    @property
    def mixes(self) -> bool:
        """Whether V and R answer together, without a merge."""
        return self.method is not None and find(self.method).mix is not None

    @property
    def key(self) -> str:
        """16 hex digits of the recipe's content."""
        fields = self.model_dump(
            exclude={"checkpoint": {"folder"}, "base": True}
        )  # content counts, not its path
        content = json.dumps(fields, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def check(self, triple: Triple, fitted: Fitted | None) -> None:
        """Raise UserError unless the recipe was made for these checkpoints, with or without coefficients."""
        if self.checkpoint and Checkpoint.open(self.checkpoint.folder).digest != self.checkpoint.digest:
            raise UserError(
                f"the recipe was made from another checkpoint than {self.checkpoint.folder} holds now: make"
                " the variant again."
            )
        for role, digest in triple.digest.items():
            if self.triple.get(role) != digest:
                folder = triple.checkpoints[role].folder
                raise UserError(
                    f"the recipe was made for another {role} than {folder}: make the variant again."
                )
        if bool(fitted) != (self.coefficients is not None):
            raise UserError(
                f"method {self.name}: the recipe and the coefficients do not belong together: load both from"
                " one folder with Recipe.load."
            )

    def save(self, folder: str | Path, fitted: Fitted | None = None) -> None:
        """Write recipe.json and, if something was fitted, coefficients.safetensors; whole or not at all.

        Raises UserError when the folder cannot be written, ValueError when `fitted` is not what the recipe
        was made of.
        """
        folder = Path(folder)
        packed = _pack(fitted) if fitted else None
        if digest_coefficients(fitted) != self.coefficients:
            raise ValueError("these coefficients are not the ones the recipe was made of")
        # Coefficients first: a recipe that can be read always finds them.
        if packed:
            with atomic_write(folder / COEFFICIENTS) as temporary:
                temporary.write_bytes(packed)
        with atomic_write(folder / RECIPE) as temporary:
            temporary.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
        if not packed:
            (folder / COEFFICIENTS).unlink(missing_ok=True)

    @classmethod
    def load(cls, folder: str | Path) -> tuple[Self, Fitted]:
        """Return the recipe of a folder and what was fitted, empty when nothing was; checks its digest.

        The folder is a variant's or that of an exported checkpoint. Raises UserError when a file is missing,
        cut short or from another recipe.
        """
        folder = find_records(Path(folder))
        try:
            recipe = cls.model_validate(read_json(folder / RECIPE))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise UserError(
                f"{folder / RECIPE}: field '{field}': {first['msg']}: make the variant again."
            ) from error
        if recipe.coefficients is None:
            return recipe, Fitted(params=recipe.params)
        path = folder / COEFFICIENTS
        try:
            packed = path.read_bytes()
        except OSError as error:
            raise UserError(
                f"cannot read {path}: {error.strerror or error}: make the variant again."
            ) from error
        if hashlib.sha256(packed).hexdigest() != recipe.coefficients:
            raise UserError(
                f"{path} is not what {RECIPE} describes (truncated or replaced): make the variant again."
            )
        from safetensors.torch import load as load_tensors

        try:
            return recipe, Fitted.from_flat(load_tensors(packed), recipe.params)
        except SafetensorError as error:
            raise UserError(f"{path} is not a safetensors file ({error}): make the variant again.") from error


def find_records(folder: Path) -> Path:
    """Find the folder of a recipe: of an exported checkpoint or adapter its `frism`, else the folder itself.

    Exports of earlier versions have the recipe in their root.
    """
    records = folder / RECORDS
    # A folder of variants may have one named frism; a checkpoint has a config, an adapter one of its own.
    model = (folder / "config.json").is_file() or (folder / ADAPTER).is_file()
    return records if model and records.is_dir() else folder


def digest_coefficients(fitted: Fitted | None) -> str | None:
    """Compute the sha256 of the file that holds what was fitted; None when nothing was."""
    return hashlib.sha256(_pack(fitted)).hexdigest() if fitted else None


def _pack(fitted: Fitted) -> bytes:
    """Serialise tensors to safetensors bytes that depend on names and values only."""
    from safetensors.torch import save as save_tensors

    # Clones: safetensors refuses tensors that share memory.
    return save_tensors(
        {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in fitted.flatten().items()}
    )
