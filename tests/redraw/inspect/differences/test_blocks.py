from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from redraw.inspect.differences.compare import Gap

_DTYPES = (
    "float32",
    "float64",
    "float16",
    "bfloat16",
    "int8",
    "int32",
    "int64",
    "uint8",
    "complex64",
    "bool",
)


def _gap(dtype: str, one: bytes, two: bytes, cut: int = 1 << 20) -> Gap:
    """The gap of two streams that are cut into chunks of different sizes."""
    gap = Gap(dtype)
    pieces = (
        [data[start : start + size] for start in range(0, len(data), size)]
        for data, size in ((one, cut), (two, 2 * cut + 1))
    )
    gap.add(*pieces)
    return gap


@pytest.mark.parametrize("dtype", _DTYPES)
def test_measure_gap_of_many_values_is_what_numpy_says(dtype: str) -> None:
    random = np.random.default_rng(7)
    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    # More than a few blocks, and no whole number of them.
    one, two = (np.maximum(random.normal(size=700_001) * 50, 0).astype(kind) for _ in range(2))
    gap = _gap(dtype, one.tobytes(), two.tobytes(), 100_003)
    wide = complex if dtype == "complex64" else float
    change = np.abs(one.astype(wide) - two.astype(wide))
    assert gap.relative == pytest.approx(np.linalg.norm(change) / np.linalg.norm(two.astype(wide)), rel=1e-9)
    assert gap.largest == float(change.max())
    assert (gap.equal, gap.not_finite) == (False, 0)


@given(
    hnp.arrays(np.float64, 7, elements=st.floats(allow_nan=True, allow_infinity=True)),
    hnp.arrays(np.float64, 7, elements=st.floats(allow_nan=True, allow_infinity=True)),
)
def test_measure_gap_of_any_floats_is_finite_and_counts_what_is_not(one: np.ndarray, two: np.ndarray) -> None:
    gap = _gap("float64", one.tobytes(), two.tobytes())
    with np.errstate(all="ignore"):
        finite = np.isfinite(one - two)
        change = float(np.abs(one - two)[finite].max(initial=0.0))
    assert gap.not_finite == 7 - np.count_nonzero(finite)
    assert gap.largest == change
    assert gap.equal == (one.tobytes() == two.tobytes())
    assert gap.relative is None or (math.isfinite(gap.relative) and (gap.relative > 0) == (change > 0))


def test_measure_gap_of_huge_and_tiny_values_neither_overflows_nor_vanishes() -> None:
    for scale in (1e300, 1e-300):
        one, two = np.array([3.0, 0.0]) * scale, np.array([0.0, 4.0]) * scale
        assert _gap("float64", one.tobytes(), two.tobytes()).relative == pytest.approx(1.25)
    one, two = np.array([1e-303, 1e300]), np.array([0.0, 1e300])
    relative = _gap("float64", one.tobytes(), two.tobytes()).relative
    assert relative is not None
    assert 0.0 < relative < 1e-300


def test_measure_gap_to_zeros_has_no_ratio() -> None:
    ones, zeros = np.ones(3, np.float32).tobytes(), np.zeros(3, np.float32).tobytes()
    assert _gap("float32", ones, zeros).relative is None
    assert _gap("float32", zeros, zeros).relative == 0.0
    assert _gap("float32", zeros, ones).relative == 1.0


@pytest.mark.parametrize("other", [b"\x02ab", b"\x03abc", b"", b"\x02ac" + bytes(1 << 20)])
def test_measure_gap_of_strings_is_only_whether_they_are_equal(other: bytes) -> None:
    gap = _gap("string", b"\x02ab", other)
    assert (gap.equal, gap.relative, gap.largest) == (other == b"\x02ab", None, None)
