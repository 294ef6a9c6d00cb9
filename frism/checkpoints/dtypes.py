"""List the dtypes of stored values: their names in safetensors and in torch, and their sizes."""

from frism.errors import UserError

# Bits of one value, for every dtype that the format knows, by its name there.
BITS: dict[str, int] = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8, "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
}  # fmt: skip
# Names in torch, for what is read as a tensor.
TORCH_NAMES: dict[str, str] = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool", "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
}  # fmt: skip
# What a merge reads and writes: bytes of one value, and names by torch's.
FLOATS: dict[str, int] = {dtype: BITS[dtype] // 8 for dtype in ("F64", "F32", "F16", "BF16")}
NAMES: dict[str, str] = {TORCH_NAMES[dtype]: dtype for dtype in FLOATS}


def check_dtype(dtype: str, subject: str) -> str:
    """Return `dtype` if values can be merged in it. Raises UserError about `subject` if not."""
    if dtype not in FLOATS:
        raise UserError(f"{subject} is stored as {dtype}: merge checkpoints in {', '.join(NAMES)}.")
    return dtype
