"""Read a serialized `TensorProto` within bounds, without TensorFlow.

Source:
    https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/core/framework/tensor.proto
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from redraw.checkpoint.bundle.dtypes import dtype_name, numpy_dtype
from redraw.checkpoint.bundle.encoding import MalformedError

if TYPE_CHECKING:
    from tensorboard.compat.proto.tensor_pb2 import TensorProto

# The field of a dtype's values, and NumPy's dtype to read them; smaller integers share `int_val`.
_FIELDS: dict[str, tuple[str, Any]] = {
    "float32": ("float_val", np.float32),
    "float64": ("double_val", np.float64),
    "float16": ("half_val", np.uint16),
    "bfloat16": ("half_val", np.uint16),
    "complex64": ("scomplex_val", np.float32),
    "complex128": ("dcomplex_val", np.float64),
    "bool": ("bool_val", np.bool_),
    "int64": ("int64_val", np.int64),
    "uint32": ("uint32_val", np.uint32),
    "uint64": ("uint64_val", np.uint64),
}


def read_tensor_proto(data: bytes, most: int) -> np.ndarray:
    """Read one tensor.

    Args:
        data: A serialized `TensorProto`.
        most: The most elements of the tensor: a few bytes can declare any shape.

    Returns:
        Its values; strings as an object array of bytes.

    Raises:
        MalformedError: It is no tensor, has more elements, or a dtype that NumPy lacks.
    """
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.tensor_pb2 import TensorProto

    try:
        parsed = TensorProto.FromString(data)
        shape = [dim.size for dim in parsed.tensor_shape.dim]
        # A row without elements counts as one element.
        fits = min(shape, default=0) >= 0 and math.prod(max(size, 1) for size in shape) <= max(most, 1)
        array = _fill(_values(parsed), math.prod(shape)).reshape(shape) if fits else None
    except (DecodeError, TypeError, ValueError, OverflowError) as err:
        raise MalformedError("a tensor", f"{type(err).__name__}: {str(err)[:100]}") from err
    if array is None:
        raise MalformedError(f"a tensor of at most {most} elements", f"a tensor of shape {shape}")
    return array


def _values(parsed: TensorProto) -> np.ndarray:
    """The values that the message contains, in one dimension."""
    name = dtype_name(parsed.dtype) or ""
    if name == "string":
        texts = np.empty(len(parsed.string_val), object)
        texts[:] = parsed.string_val
        return texts
    dtype = numpy_dtype(name) if name else None
    if dtype is None:
        raise TypeError(f"{name or parsed.dtype} is not a NumPy dtype")
    if parsed.tensor_content:
        return np.frombuffer(parsed.tensor_content, dtype)
    if name.startswith(("float8", "float4")):
        return np.frombuffer(parsed.float8_val, dtype)
    if name in _FIELDS:
        field, read_as = _FIELDS[name]
        values = np.array(getattr(parsed, field), read_as)
        return values.astype(dtype) if read_as is np.bool_ else values.view(dtype)
    integers, limits = np.array(parsed.int_val, np.int64), ml_dtypes.iinfo(dtype)
    if integers.size and not (limits.min <= integers.min() and integers.max() <= limits.max):
        raise ValueError(f"integers that {name} cannot hold")
    return integers.astype(dtype)


def _fill(values: np.ndarray, count: int) -> np.ndarray:
    """Fill up to `count` values: with the last value, or with zeros if there is none."""
    if len(values) >= count:
        return values
    if len(values):
        return np.concatenate([values, np.repeat(values[-1:], count - len(values))])
    return np.full(count, b"", object) if values.dtype.kind == "O" else np.zeros(count, values.dtype)
