"""Names of element types in safetensors headers, and their numpy forms."""

from typing import Any

import ml_dtypes
import numpy as np

from workbench.checkpoints.errors import CheckpointError

# numpy has no bfloat16 or float8 of its own; ml_dtypes (a dependency of jax) registers them.
NUMPY_DTYPES: dict[str, np.dtype] = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "C64": np.dtype("<c8"),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
}
SAFETENSORS_NAMES: dict[np.dtype, str] = {dtype: name for name, dtype in NUMPY_DTYPES.items()}

_FLOATS = {"F16", "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2"}


def is_floating(dtype: np.dtype) -> bool:
    """Whether `dtype` is a real floating type, bfloat16 and float8 included."""
    return SAFETENSORS_NAMES.get(dtype.newbyteorder("<")) in _FLOATS


def safetensors_name(dtype: np.dtype, tensor: str) -> str:
    """The header's name for a numpy dtype.

    Raises:
        CheckpointError: safetensors cannot hold this type.
    """
    name = SAFETENSORS_NAMES.get(dtype.newbyteorder("<"))
    if name is None:
        raise CheckpointError(
            f"tensor {tensor!r} has dtype {dtype}, which safetensors cannot hold; "
            f"cast it to one of {', '.join(str(d) for d in SAFETENSORS_NAMES)}"
        )
    return name


def floating_dtype(dtype: Any) -> np.dtype:
    """A floating dtype from a name (`"bfloat16"`), a numpy dtype, or a scalar type.

    Raises:
        CheckpointError: not a floating dtype.
    """
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or not is_floating(found):
        raise CheckpointError(
            f"dtype={dtype!r} is not a floating type; use float32, float16, bfloat16 or float64"
        )
    return found
