"""The recipe: the small file (plus fitted coefficients) that defines a merged variant exactly."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError

from frism.errors import UserError
from frism.files import atomic_write, read_json
from frism.method.method import find
from frism.method.parameters import Value
from frism.spectra.settings import SpectrumSettings
from frism.triples.scopes import check_scope
from frism.triples.triple import Triple

if TYPE_CHECKING:  # seconds to import; a recipe without coefficients does without
    from torch import Tensor

RECIPE, COEFFICIENTS = "recipe.json", "coefficients.safetensors"


class Recipe(BaseModel):
    """A method, its complete parameters and seed, and the digests of checkpoints and coefficients.

    `spectrum` says how the singular directions were computed that the coefficients belong to, None for a
    method that needs none. `code` identifies the code that fits and merges; the caller computes it.
    `coefficients` is the sha256 of the fitted tensors as safetensors bytes, None for a method that fits
    nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    method: str
    params: dict[str, Value]
    scope: str
    seed: int = 0
    triple: dict[str, str]
    spectrum: SpectrumSettings | None = None
    code: str = ""
    coefficients: str | None = None

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
        fitted: "Mapping[str, Tensor] | None" = None,
    ) -> Self:
        """Check method, parameters and scope (default: the method's own) and return the recipe.

        `spectrum` is left out for a method that needs none, and the default's for one that does.

        Raises UserError for an unknown method, parameter or scope.
        """
        found = find(method)
        scope = scope or found.scope
        check_scope(scope)
        digest = hashlib.sha256(_pack(fitted)).hexdigest() if fitted else None
        params = found.validate(params or {})
        return cls(
            method=method,
            params=params,
            scope=scope,
            seed=seed,
            spectrum=(spectrum or SpectrumSettings()) if found.needs_spectrum else None,
            triple=triple.digest,
            code=code,
            coefficients=digest,
        )

    @property
    def key(self) -> str:
        """16 hex digits of the recipe's content."""
        content = json.dumps(self.model_dump(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def check(self, triple: Triple, fitted: "Mapping[str, Tensor] | None") -> None:
        """Raise UserError unless the recipe was made for these checkpoints, with or without coefficients."""
        for role, digest in triple.digest.items():
            if self.triple.get(role) != digest:
                folder = triple.checkpoints[role].folder
                raise UserError(
                    f"the recipe was made for another {role} than {folder}: make the variant again."
                )
        if bool(fitted) != (self.coefficients is not None):
            raise UserError(
                f"method {self.method}: the recipe and its fitted coefficients do not belong together."
            )

    def save(self, folder: str | Path, fitted: "Mapping[str, Tensor] | None" = None) -> None:
        """Write recipe.json and, if something was fitted, coefficients.safetensors; whole or not at all.

        Raises UserError when the folder cannot be written, ValueError when `fitted` is not what the recipe
        was made of.
        """
        folder = Path(folder)
        packed = _pack(fitted) if fitted else None
        if (hashlib.sha256(packed).hexdigest() if packed else None) != self.coefficients:
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
    def load(cls, folder: str | Path) -> "tuple[Self, dict[str, Tensor]]":
        """Return the recipe of a folder and its fitted tensors ({} when none), after checking their digest.

        Raises UserError when a file is missing, cut short or from another recipe.
        """
        folder = Path(folder)
        try:
            recipe = cls.model_validate(read_json(folder / RECIPE))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise UserError(
                f"{folder / RECIPE}: field '{field}': {first['msg']}: make the variant again."
            ) from error
        if recipe.coefficients is None:
            return recipe, {}
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
            return recipe, load_tensors(packed)
        except SafetensorError as error:
            raise UserError(f"{path} is not a safetensors file ({error}): make the variant again.") from error


def _pack(fitted: "Mapping[str, Tensor]") -> bytes:
    """Serialise tensors to safetensors bytes that depend on names and values only."""
    from safetensors.torch import save as save_tensors

    # Clones: safetensors refuses tensors that share memory.
    tensors = {name: fitted[name].detach().to("cpu", copy=True).contiguous() for name in sorted(fitted)}
    return save_tensors(tensors)
