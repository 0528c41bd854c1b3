"""Read a serialized `TensorProto` within bounds, and without TensorFlow."""

from __future__ import annotations

import math

import numpy as np

from redraw.checkpoint.bundle.encoding import MalformedError


def read_tensor_proto(data: bytes, most: int) -> np.ndarray:
    """Read one tensor.

    Args:
        data: A serialized `TensorProto`.
        most: How many elements it may have: a few bytes can declare any shape.

    Returns:
        Its values; strings as an object array of bytes.

    Raises:
        MalformedError: It is none, has more elements, or a dtype that NumPy does not have.
    """
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.util.tensor_util import make_ndarray

    try:
        parsed = TensorProto.FromString(data)
        sizes = [dim.size for dim in parsed.tensor_shape.dim]
        # Rows without elements are rows: they are counted one by one.
        fits = min(sizes, default=0) >= 0 and math.prod(max(size, 1) for size in sizes) <= max(most, 1)
        array = np.asarray(make_ndarray(parsed)) if fits else None
    except (DecodeError, KeyError, TypeError, ValueError) as err:
        raise MalformedError("a tensor", f"{type(err).__name__}: {str(err)[:100]}") from err
    if array is None:
        raise MalformedError(f"a tensor of at most {most} elements", f"one of shape {sizes}")
    return array
