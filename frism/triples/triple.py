"""Align base B, VLM V and reasoning model R tensor by tensor, under canonical names."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Self

from frism.checkpoints.checkpoint import Checkpoint, digest_folders
from frism.checkpoints.dtypes import FLOATS
from frism.checkpoints.headers import Header
from frism.errors import UserError
from frism.triples.compatibility import Difference, compare_configs, find_refusals
from frism.triples.derived_tower import unify_stacks
from frism.triples.donors import Source, open_source, parse_donors
from frism.triples.scopes import DEFAULT_SCOPE as DEFAULT_SCOPE
from frism.triples.scopes import OUTSIDE, WHOLE_SCOPE, check_scope, split_name
from frism.triples.scopes import SCOPES as SCOPES
from frism.triples.scopes import WIDEST_SCOPE as WIDEST_SCOPE
from frism.triples.towers import open_tower
from frism.triples.vocabularies import forget_vocabularies

if TYPE_CHECKING:  # a plan reads headers only
    import torch
    from torch import Tensor

ROLES = ("base", "vlm", "lrm")


class Triple:
    """Three checkpoints of one architecture, read one tensor at a time.

    Canonical names are those of the text model: "layers.0.self_attn.q_proj.weight", "norm.weight" (see
    `frism.triples.scopes`). `text_receiver`: V is a text model itself, so scope "all" is open to methods.
    """

    def __init__(
        self, checkpoints: dict[str, Checkpoint], scope: str, donors: Mapping[str, float] | None = None
    ) -> None:
        self.checkpoints = checkpoints
        self.scope = scope
        self.donors = donors or {"lrm": 1.0}
        self.towers = {role: open_tower(checkpoints[role], role) for role in _order(checkpoints)}
        unify_stacks(self.towers.values())
        self.text_receiver = not self.towers["vlm"].is_vlm
        self._names: dict[str, list[str]] = {}

    @classmethod
    def open(
        cls,
        base: str | Path,
        vlm: str | Path,
        lrm: Source | Sequence[Source],
        scope: str = DEFAULT_SCOPE,
        *,
        text_receiver: bool = False,
        vlm_donor: bool = False,
        allow_pickle: bool = False,
    ) -> Self:
        """Open three checkpoints (folders or hub ids) and check that they can be merged in `scope`.

        `text_receiver` lets V be a text model, `vlm_donor` lets B and R be vision-language models, whose
        language towers count. Several donors are one R, B + sum of weight * (donor - B); see
        `frism.triples.donors.parse_donors`. Raises UserError, naming file and tensor, for anything
        missing, truncated, misshapen, quantised or of another family.
        """
        triple = cls.open_unchecked(base, vlm, lrm, scope, allow_pickle=allow_pickle)
        for reason in find_refusals(triple.towers, text_receiver=text_receiver, vlm_donor=vlm_donor):
            raise UserError(reason)
        forget_vocabularies()  # tens of megabytes that a merge does not use
        triple.names(scope)
        return triple

    @classmethod
    def open_unchecked(
        cls,
        base: Source,
        vlm: Source,
        lrm: Source | Sequence[Source],
        scope: str = DEFAULT_SCOPE,
        *,
        allow_pickle: bool = False,
    ) -> Self:
        """Open checkpoints that need not belong together, to be judged (`frism.inspection`)."""
        donors = parse_donors(lrm)
        sources = {"base": base, "vlm": vlm}
        sources |= {_name_donor(number): source for number, (source, _) in enumerate(donors)}
        checkpoints = {r: open_source(s, allow_pickle=allow_pickle) for r, s in sources.items()}
        return cls(checkpoints, scope, {_name_donor(n): weight for n, (_, weight) in enumerate(donors)})

    @property
    def blended(self) -> bool:
        """Whether R is no checkpoint but B + sum of weight * (donor - B)."""
        return self.donors != {"lrm": 1.0}

    def names(self, scope: str | None = None) -> list[str]:
        """Return the canonical names of a scope, layer by layer, checked in all three checkpoints."""
        scope = scope or self.scope
        if scope not in self._names:
            per_role = {role: self.tower_names(scope, role) for role in self.towers}
            for role in ("base", *self.donors):
                self._check_alignment(role, per_role["vlm"], per_role[role])
            self._names[scope] = per_role["vlm"]
        return self._names[scope]

    def tower_names(self, scope: str, role: str = "vlm") -> list[str]:
        """Return the canonical names of a scope in one checkpoint alone."""
        check_scope(scope)
        if scope == WHOLE_SCOPE and not self.text_receiver:
            raise UserError(
                f"scope '{WHOLE_SCOPE}' is for text models: a vision-language model keeps its embedding and "
                f"head, so choose {WIDEST_SCOPE}."
            )
        tower = self.towers[role]
        names = [name for name in tower.names if tower.in_scope(name, scope)]
        if scope == WHOLE_SCOPE and role != "vlm":
            names = self._add_tied_head(names)
        order = {name: place for place, name in enumerate(self.towers["vlm"].names)}
        return sorted(names, key=lambda name: (*_sort_key(name, scope), order.get(name, 0)))

    def read(
        self,
        role: str,
        name: str,
        device: "str | torch.device" = "cpu",
        *,
        rows: slice = slice(None),
        stored: bool = False,
    ) -> "Tensor":
        """Return one tensor of "base", "vlm" or "lrm", or some of its rows, in fp32 or its stored dtype.

        Raises UserError naming file and tensor when it is missing, not finite (if read whole) or not of V's
        shape.
        """
        if role == "lrm" and self.blended:
            return self._blend(name, device, rows)
        return self._read(role, name, device, rows, stored=stored)

    def _blend(self, name: str, device: "str | torch.device", rows: slice) -> "Tensor":
        """Return R of several donors, fp32."""
        base = self._read("base", name, device, rows)
        total = base.clone()
        for role, weight in self.donors.items():
            total += weight * (self._read(role, name, device, rows) - base)
        return total

    def _read(
        self, role: str, name: str, device: "str | torch.device", rows: slice, *, stored: bool = False
    ) -> "Tensor":
        import torch

        header = self.header(role, name)
        if header.shape != self.header("vlm", name).shape:
            raise self._shape_error(role, name)
        values = self.towers[role].read(name, rows)
        return values.to(device=device, dtype=values.dtype if stored else torch.float32)

    def stored(self, name: str, role: str = "vlm") -> str:
        """Return the name that a tensor has in the files of V (or of another role)."""
        return self.towers[role].stored(name)

    def parameter_name(self, name: str) -> str:
        """Return the name that a tensor of V has in the loaded model (`model.get_parameter`).

        Raises UserError when V's class makes the parameter of several stored tensors.
        """
        path = self.towers["vlm"].parameter(name)
        if path is None:
            raise UserError(
                f"{self.vlm_folder} (vlm): {name} is no parameter of the loaded model, which makes one of"
                " several stored tensors: merge to a folder instead."
            )
        return path

    def kind(self, name: str) -> str | None:
        """Return what a canonical name stands for in V: "matrix", "bias", "norm", ..."""
        return self.towers["vlm"].kind(name)

    def parts(self, stored: str) -> list[str]:
        """Return the canonical names that one tensor of V's files holds: several for a stack of matrices."""
        return self._parts.get(stored, [])

    @cached_property
    def _parts(self) -> dict[str, list[str]]:
        parts: dict[str, list[str]] = {}
        for name, stored in self.towers["vlm"].names.items():
            parts.setdefault(stored, []).append(name)
        return parts

    def header(self, role: str, name: str) -> Header:
        """Return file, stored dtype, shape and byte range of a tensor without reading it."""
        return self.towers[role].header(name)

    def layer(self, name: str) -> int | None:
        """Return the decoder layer of a tensor (the text model's number), None outside the layers."""
        return split_name(name)[0]

    @cached_property
    def layers(self) -> int:
        """Number of decoder layers of the text model."""
        return 1 + max(layer for name in self.names() if (layer := self.layer(name)) is not None)

    @property
    def widest_scope(self) -> str:
        """The widest scope that V allows: everything that any method may have touched."""
        return WHOLE_SCOPE if self.text_receiver else WIDEST_SCOPE

    @property
    def digest(self) -> dict[str, str]:
        """sha256 of each checkpoint's content (weights, configs, tokenizer), by role."""
        return self.digest_roles(ROLES)

    def describe_donors(self) -> list[str]:
        """Say of which donors R is made, where it is no checkpoint."""
        terms = (f"{weight:+g} ({self.checkpoints[r].folder.name} - B)" for r, weight in self.donors.items())
        return [f"R is B {' '.join(terms)}."] if self.blended else []

    def digest_roles(self, roles: Sequence[str]) -> dict[str, str]:
        """Return the digests of some roles, computed side by side."""
        single = [one for role in roles for one in (self.donors if role == "lrm" else (role,))]
        found = dict(zip(single, digest_folders([self.checkpoints[one] for one in single]), strict=True))
        if self.blended and "lrm" in roles:
            content = [[found[role], weight] for role, weight in self.donors.items()]
            found["lrm"] = sha256(json.dumps(content).encode()).hexdigest()
        return {role: found[role] for role in roles}

    @property
    def lrm_is_made(self) -> bool:
        """Whether R is no folder that transformers loads: it has adapters, or is made of several donors."""
        return self.blended or any(
            header.file.parent != self.lrm_folder for header in self.checkpoints["lrm"].tensors.values()
        )

    @property
    def base_folder(self) -> Path:
        """Folder of B."""
        return self.checkpoints["base"].folder

    @property
    def vlm_folder(self) -> Path:
        """Folder of V, which also holds the processor."""
        return self.checkpoints["vlm"].folder

    @property
    def lrm_folder(self) -> Path:
        """Folder of R."""
        return self.checkpoints["lrm"].folder

    def differences(self) -> list[Difference]:
        """Return where configs differ without forbidding a merge (RoPE base, epsilon, vocabulary)."""
        return compare_configs(self.towers)

    def _add_tied_head(self, names: list[str]) -> list[str]:
        """Return B's or R's names with the head that V stores: where they store none, it is the embedding."""
        head = OUTSIDE[WHOLE_SCOPE][-1]
        others = [name for name in names if name != head]
        return [*others, head] if head in self.towers["vlm"].names else others

    def _check_alignment(self, role: str, expected: list[str], present: list[str]) -> None:
        folder, missing = self.checkpoints[role].folder, sorted(set(expected) - set(present))
        if missing:
            if explanation := self.towers["vlm"].explain_absence(missing[0]):
                raise UserError(explanation)
            raise UserError(
                f"{folder} ({role}) lacks the tensor {self.stored(missing[0], role)} ({len(missing)} missing "
                "in all): use a checkpoint of the VLM's own base family, or download it again."
            )
        extra = sorted(set(present) - set(expected))
        if extra:
            raise UserError(
                f"{folder} ({role}) has the tensor {self.stored(extra[0], role)}, which {self.vlm_folder} "
                f"(vlm) lacks ({len(extra)} in all): use checkpoints of one architecture and size."
            )
        for name in expected:
            if self.header(role, name).shape != self.header("vlm", name).shape:
                raise self._shape_error(role, name)
            for header in (self.header(role, name), self.header("vlm", name)):
                if header.dtype not in FLOATS:
                    raise UserError(
                        f"{header.file}: tensor {name} is stored as {header.dtype}, so it is quantised: use "
                        "the checkpoint that it was quantised from."
                    )

    def _shape_error(self, role: str, name: str) -> UserError:
        one, other = self.header(role, name), self.header("vlm", name)
        return UserError(
            f"{one.file}: tensor {self.stored(name, role)} has shape {list(one.shape)}, but "
            f"{list(other.shape)} in {other.file}: use checkpoints of one architecture and size."
        )


def _name_donor(number: int) -> str:
    """Return the role of a donor: "lrm", "lrm 2", ..."""
    return "lrm" if not number else f"lrm {number + 1}"


def _order(roles: Iterable[str]) -> list[str]:
    """Order roles as towers are opened: V first, since its faults are named first."""
    return sorted(roles, key=lambda role: role != "vlm")


def _sort_key(name: str, scope: str) -> tuple[int, int]:
    """Return a key that sorts by layer, then in the scope's order; what no layer holds comes last."""
    layer, rest = split_name(name)
    known = SCOPES[scope] if layer is not None else OUTSIDE.get(scope, ())
    place = known.index(rest) if rest in known else len(known)
    return (layer if layer is not None else 1 << 30, place)
