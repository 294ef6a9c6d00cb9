"""The triple: base B, VLM V, reasoning model R, aligned tensor by tensor under canonical names."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from frism.checkpoints import Checkpoint, Header
from frism.errors import UserError, nearest

ROLES = ("base", "vlm", "lrm")
DEFAULT_SCOPE = "mat"
_MATRICES = (
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
)  # fmt: skip
_MATRIX_WEIGHTS = tuple(f"{m}.weight" for m in _MATRICES)
_BIASES = tuple(f"{m}.bias" for m in _MATRICES)
_NORMS = ("input_layernorm.weight", "post_attention_layernorm.weight", "self_attn.q_norm.weight",
          "self_attn.k_norm.weight")  # fmt: skip
FINAL_NORM = "norm.weight"
# Which tensors of a layer a method may touch; the final norm belongs to the widest scope alone.
SCOPES: dict[str, tuple[str, ...]] = {
    "mat": _MATRIX_WEIGHTS,
    "mat+bias": _MATRIX_WEIGHTS + _BIASES,
    "mat+bias+norm": _MATRIX_WEIGHTS + _BIASES + _NORMS,
}
WIDEST_SCOPE = "mat+bias+norm"
_IN_LAYER = re.compile(r"layers\.(\d+)\.(.+)")


@dataclass(frozen=True)
class Tower:
    """Where an architecture keeps its language model: prefixes in files, the module when loaded."""

    stored: tuple[str, ...]
    module: str


# Qwen2(.5)-VL is stored with hub names ("model.layers.") or, newer, with the names it has in memory.
TOWERS: dict[str, Tower] = {
    "qwen2": Tower(("model.",), "model"),
    "qwen2_vl": Tower(("model.language_model.", "model."), "model.language_model"),
    "qwen2_5_vl": Tower(("model.language_model.", "model."), "model.language_model"),
}
# A different value of these gives silently wrong answers at equal shapes.
_MUST_AGREE = ("num_attention_heads", "num_key_value_heads")
_WORTH_A_NOTE = ("vocab_size", "rms_norm_eps", "hidden_act")


class Triple:
    """Three checkpoints of one architecture, read one tensor at a time.

    Canonical names are those inside the language tower: "layers.0.self_attn.q_proj.weight", "norm.weight".
    """

    def __init__(self, checkpoints: dict[str, Checkpoint], scope: str) -> None:
        self.checkpoints = checkpoints
        self.scope = scope
        self._prefix = {role: _prefix(role, checkpoint) for role, checkpoint in checkpoints.items()}
        self._names: dict[str, list[str]] = {}

    @classmethod
    def open(cls, base: str | Path, vlm: str | Path, lrm: str | Path, scope: str = DEFAULT_SCOPE) -> Self:
        """Open three folders and check that every tensor of `scope` has an equal-shaped partner in each.

        Raises UserError, naming file and tensor, for anything missing, truncated, misshapen or of another
        family.
        """
        triple = cls({"base": Checkpoint(base), "vlm": Checkpoint(vlm), "lrm": Checkpoint(lrm)}, scope)
        if "vision_config" not in triple.checkpoints["vlm"].config:
            raise UserError(
                f"{vlm} is no vision-language model (config.json has no vision_config): check the order."
            )
        triple._check_configs()
        triple.names(scope)
        return triple

    def names(self, scope: str | None = None) -> list[str]:
        """Return the canonical names of a scope, layer by layer, checked in all three checkpoints."""
        scope = scope or self.scope
        if scope not in self._names:
            per_role = {role: self.tower_names(scope, role) for role in ROLES}
            for role in ("base", "lrm"):
                self._check_alignment(role, per_role["vlm"], per_role[role])
            self._names[scope] = per_role["vlm"]
        return self._names[scope]

    def tower_names(self, scope: str, role: str = "vlm") -> list[str]:
        """Return the canonical names of a scope in one checkpoint alone."""
        if scope not in SCOPES:
            raise UserError(
                f"unknown scope '{scope}': choose one of {', '.join(SCOPES)}.{nearest(scope, SCOPES)}"
            )
        order = {suffix: position for position, suffix in enumerate(SCOPES[scope])}
        prefix, found = self._prefix[role], []
        for stored in self.checkpoints[role].tensors:
            if not stored.startswith(prefix):
                continue
            name = stored.removeprefix(prefix)
            match = _IN_LAYER.fullmatch(name)
            if match and match[2] in order:
                found.append((int(match[1]), order[match[2]], name))
        names = [name for _, _, name in sorted(found)]
        last = (
            [FINAL_NORM]
            if scope == WIDEST_SCOPE and prefix + FINAL_NORM in self.checkpoints[role].tensors
            else []
        )
        return names + last

    def read(self, role: str, name: str, device: str | torch.device = "cpu") -> Tensor:
        """Return one tensor of "base", "vlm" or "lrm" in fp32.

        Raises UserError naming file and tensor when it is missing, not finite or not of V's shape.
        """
        header = self.header(role, name)
        if header.shape != self.header("vlm", name).shape:
            raise self._misshapen(role, name)
        return self.checkpoints[role].read(self.stored(name, role)).to(device=device, dtype=torch.float32)

    def stored(self, name: str, role: str = "vlm") -> str:
        """Return the name that a tensor has in the files of V (or of another role)."""
        return self._prefix[role] + name

    def header(self, role: str, name: str) -> Header:
        """Return file, stored dtype and shape of a tensor without reading it."""
        return self.checkpoints[role].header(self.stored(name, role))

    def layer(self, name: str) -> int | None:
        """Return the decoder layer of a tensor, None for the final norm."""
        match = _IN_LAYER.fullmatch(name)
        return int(match[1]) if match else None

    @cached_property
    def layers(self) -> int:
        """Number of decoder layers."""
        return 1 + max(layer for name in self.names() if (layer := self.layer(name)) is not None)

    @property
    def digest(self) -> dict[str, str]:
        """sha256 of each checkpoint's content (weights, configs, tokenizer), by role."""
        return {role: self.checkpoints[role].digest for role in ROLES}

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

    @property
    def tower_module(self) -> str:
        """Path of the language tower among the modules of the loaded V."""
        return TOWERS[self.checkpoints["vlm"].model_type].module

    def notes(self) -> list[str]:
        """Say where configs differ without forbidding a merge (RoPE base, epsilon, vocabulary)."""
        values = {role: _facts(checkpoint) for role, checkpoint in self.checkpoints.items()}
        return [
            f"{key} differs: " + ", ".join(f"{role} {values[role][key]}" for role in ROLES) + "."
            for key in values["vlm"]
            if len({str(values[role][key]) for role in ROLES}) > 1
        ]

    def _check_configs(self) -> None:
        for key in _MUST_AGREE:
            values = {role: self.checkpoints[role].text_config.get(key) for role in ROLES}
            if len(set(values.values())) > 1:
                shown = ", ".join(f"{role} {value}" for role, value in values.items())
                raise UserError(
                    f"{key} in config.json differs ({shown}): the three models need one architecture."
                )

    def _check_alignment(self, role: str, expected: list[str], present: list[str]) -> None:
        folder, missing = self.checkpoints[role].folder, sorted(set(expected) - set(present))
        if missing:
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
                raise self._misshapen(role, name)

    def _misshapen(self, role: str, name: str) -> UserError:
        one, other = self.header(role, name), self.header("vlm", name)
        return UserError(
            f"{one.file}: tensor {self.stored(name, role)} has shape {list(one.shape)}, but "
            f"{list(other.shape)} in {other.file}: use checkpoints of one architecture and size."
        )


def _prefix(role: str, checkpoint: Checkpoint) -> str:
    tower = TOWERS.get(checkpoint.model_type)
    if tower is None:
        raise UserError(
            f"{checkpoint.folder} ({role}) has model_type '{checkpoint.model_type}', which is not supported: "
            f"use one of {', '.join(TOWERS)}."
        )
    for prefix in tower.stored:
        if any(name.startswith(f"{prefix}layers.") for name in checkpoint.tensors):
            return prefix
    raise UserError(
        f"{checkpoint.folder} ({role}) has no language model tensors ({tower.stored[-1]}layers.*): "
        "copy or download its weights again."
    )


def _facts(checkpoint: Checkpoint) -> dict[str, object]:
    config = checkpoint.text_config
    rope = config.get("rope_parameters") or {}
    facts: dict[str, object] = {key: config.get(key) for key in _WORTH_A_NOTE}
    facts["rope_theta"] = float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0)
    facts["tie_word_embeddings"] = bool(checkpoint.config.get("tie_word_embeddings", False))
    return facts
