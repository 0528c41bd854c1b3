"""Make requests for a signature: cast to its dtypes, generated, or with other rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from redraw.checkpoint.bundle.dtypes import numpy_dtype
from redraw.records.signature import TensorSpec
from redraw.serving.wire import normalize_array

_ROWS, _OPEN, _SEED = 3, 8, 6

# Input name to values, shape [batch, …].
Request = Mapping[str, np.ndarray]


def cast_request(inputs: Request, specs: Mapping[str, TensorSpec]) -> Request:
    """Cast values to the dtypes of a signature, like a client of a typed interface.

    Args:
        inputs: Input name to values.
        specs: Input name to its spec in the signature.
    """
    cast = {}
    for name, value in inputs.items():
        dtype = numpy_dtype(specs[name].dtype) if name in specs else None
        unchanged = dtype is None or dtype.kind == "O"
        cast[name] = normalize_array(np.asarray(value)) if unchanged else np.asarray(value).astype(dtype)
    return cast


def generate_request(specs: Mapping[str, TensorSpec], rows: int = _ROWS) -> Request:
    """Generate a request with values that most models can answer; it is the same each time.

    Args:
        specs: Input name to its spec in the signature.
        rows: The number of rows.

    Returns:
        Small numbers and short texts; open dimensions have a fixed size.
    """
    random = np.random.default_rng(_SEED)
    return {name: _generate(spec, rows, random) for name, spec in sorted(specs.items())}


def _generate(spec: TensorSpec, rows: int, random: np.random.Generator) -> np.ndarray:
    shape = (rows, *(_OPEN if size is None else size for size in spec.shape[1:]))
    dtype = numpy_dtype(spec.dtype) or np.dtype(object)
    if dtype.kind == "O":
        return random.choice(np.array([b"a", b"the", b"1"], object), shape)
    if dtype.kind in "iub":
        return random.integers(0, 2, shape).astype(dtype)
    return random.normal(size=shape).astype(dtype)


def count_rows(request: Request) -> int | None:
    """The number of rows of a request; None if its inputs differ in it, or have no row."""
    sizes = {len(value) for value in request.values()}
    return sizes.pop() if len(sizes) == 1 and sizes != {0} else None


def take_rows(request: Request, rows: Sequence[int] | np.ndarray) -> Request:
    """A request of some rows of another one, in any order and with repetitions."""
    indices = np.asarray(rows, dtype=np.intp)
    return {name: value[indices] for name, value in request.items()}
