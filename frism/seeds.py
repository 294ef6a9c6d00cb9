"""Seed random generators, so that results depend on neither order nor device."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # seconds to import; a merge by plain arithmetic does without
    import torch


def make_generator(seed: int, name: str) -> torch.Generator:
    """Return a CPU generator seeded by (seed, tensor name)."""
    import torch

    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
