"""TensorFlow's dtypes by number and by name, and how NumPy stores them.

Source:
    https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/core/framework/types.proto
"""

from __future__ import annotations

from functools import cache

import ml_dtypes
import numpy as np

_NAMES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    8: "complex64",
    9: "int64",
    10: "bool",
    11: "qint8",
    12: "quint8",
    13: "qint32",
    14: "bfloat16",
    15: "qint16",
    16: "quint16",
    17: "uint16",
    18: "complex128",
    19: "float16",
    20: "resource",
    21: "variant",
    22: "uint32",
    23: "uint64",
    24: "float8_e5m2",
    25: "float8_e4m3fn",
    26: "float8_e4m3fnuz",
    27: "float8_e4m3b11fnuz",
    28: "float8_e5m2fnuz",
    29: "int4",
    30: "uint4",
    31: "int2",
    32: "uint2",
    33: "float4_e2m1fn",
}
_NUMBERS = {name: number for number, name in _NAMES.items()}
_QUANTIZED = {"qint8": "int8", "quint8": "uint8", "qint32": "int32", "qint16": "int16", "quint16": "uint16"}
_WITHOUT_NUMPY = {"resource", "variant"}


def dtype_name(number: int) -> str | None:
    """The name of a `DataType`, or None for a number that TensorFlow does not know."""
    return _NAMES.get(number)


def dtype_number(name: str) -> int:
    """The `DataType` of a name that `dtype_name` gives."""
    return _NUMBERS[name]


def has_fixed_size(name: str) -> bool:
    """Whether every element takes the same number of bytes, so that the shape tells the size."""
    return name != "string" and name not in _WITHOUT_NUMPY


@cache
def numpy_dtype(name: str) -> np.dtype | None:
    """NumPy's dtype for one of TensorFlow: `object` (of bytes) for strings, None if NumPy has none.

    A quantized dtype is read as its integers. Dtypes below eight bits take a whole
        byte an element, in checkpoints as in memory.
    """
    if name in _WITHOUT_NUMPY:
        return None
    if name == "string":
        return np.dtype(object)
    numpy_name = _QUANTIZED.get(name, name)
    return np.dtype(getattr(ml_dtypes, numpy_name, numpy_name)).newbyteorder("<")


def name_of_array(array: np.ndarray | np.generic) -> str | None:
    """The name of the dtype that an array is written with, or None if TensorFlow has none."""
    if array.dtype.kind in "OSU":
        return "string"
    return array.dtype.name if array.dtype.name in _NUMBERS else None
