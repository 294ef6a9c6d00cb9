"""Name the dtypes of stored values: as safetensors and as torch spell them, and their sizes."""

from typing import TYPE_CHECKING

from frism.errors import UserError

if TYPE_CHECKING:
    pass


# What a merge reads and writes, by the name that safetensors gives it.
FLOATS: dict[str, int] = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}


NAMES = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}


def check_dtype(dtype: str, what: str) -> str:
    """Return `dtype` if values can be merged in it. Raises UserError, beginning with `what`, if not."""
    if dtype not in FLOATS:
        raise UserError(f"{what} is stored as {dtype}: merge checkpoints in {', '.join(NAMES)}.")
    return dtype


# Bits of one value, for every dtype that the format knows.
BITS: dict[str, int] = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8, "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
}  # fmt: skip
