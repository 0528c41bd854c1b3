"""Compare two answers, with a tolerance for floats."""

from __future__ import annotations

import ml_dtypes
import numpy as np

# The roundings by which a sum may differ if threads add its terms in another order.
_ROUNDINGS = 8


def is_float(dtype: np.dtype) -> bool:
    """Whether a dtype is real or complex floating-point, of NumPy or `ml_dtypes`."""
    return dtype.kind in "fc" or (dtype.kind == "V" and "float" in dtype.name)


def rounding(dtype: np.dtype) -> float:
    """The relative difference that rounding explains, for floating-point dtypes."""
    return _ROUNDINGS * float(ml_dtypes.finfo(dtype).eps)


def difference(expected: np.ndarray, actual: np.ndarray, tolerance: float) -> str:
    """The difference between two answers in words; empty if there is none.

    Args:
        expected: The expected answer.
        actual: The actual answer.
        tolerance: For floats, relative to the largest of them; rounding errors are always allowed.
            NaN equals NaN, infinity equals infinity.

    Returns:
        A few words, with the figure.
    """
    if expected.dtype != actual.dtype or expected.ndim != actual.ndim:
        return f"{actual.dtype} of rank {actual.ndim} instead of {expected.dtype} of rank {expected.ndim}"
    if expected.shape != actual.shape:
        return f"shape {list(actual.shape)} instead of {list(expected.shape)}"
    if not is_float(expected.dtype):
        unequal = int(np.sum(expected != actual))
        return f"{unequal} of {expected.size} values differ" if unequal else ""
    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    first, second = expected.astype(wide), actual.astype(wide)
    with np.errstate(invalid="ignore"):
        gaps = np.abs(first - second)
    gaps[(first == second) | (np.isnan(first) & np.isnan(second))] = 0.0
    largest = float(np.max(np.abs(first[np.isfinite(first)]), initial=1.0))
    gap = float(np.max(gaps, initial=0.0))
    within = gap <= max(tolerance, rounding(expected.dtype)) * largest  # False for NaN
    return "" if within else f"values differ by up to {gap:.3g}"


def misfit_of(expected: np.ndarray, actual: np.ndarray, rows: int, tolerance: float) -> str | None:
    """Why two answers cannot be compared row by row; None if they can.

    An answer may have other than one value for each row: a single value, or the values of ragged rows in
    a line. Such answers are compared as a whole; the result is empty if they are the same.
    """
    if expected.shape != actual.shape:
        return f"shape {list(actual.shape)} instead of {list(expected.shape)}"
    kinds = ["texts" if array.dtype.kind in "OSU" else array.dtype.name for array in (actual, expected)]
    if kinds.count("texts") == 1:
        return f"{kinds[0]} instead of {kinds[1]}"
    if expected.shape[:1] == (rows,):
        return None
    differing = int(compare_values(expected, actual, tolerance)[1].sum())
    return f"{differing} of {expected.size} values of all {rows} rows together" if differing else ""


def compare_values(
    expected: np.ndarray, actual: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """The distance of each pair of values, and which pairs differ; equal NaNs and infinities do not."""
    if not (is_float(expected.dtype) or is_float(actual.dtype)):
        differs = np.asarray(expected != actual)
        return _distances(expected, actual, differs), differs
    # A number in JSON has no dtype, so the coarser dtype's rounding counts.
    bound = max(
        [tolerance, *(rounding(array.dtype) for array in (expected, actual) if is_float(array.dtype))]
    )
    wide = np.complex128 if "c" in (expected.dtype.kind, actual.dtype.kind) else np.float64
    first, second = expected.astype(wide), actual.astype(wide)
    same = (first == second) | (np.isnan(first) & np.isnan(second))
    with np.errstate(invalid="ignore", over="ignore"):
        gaps = np.where(same, 0.0, np.nan_to_num(np.abs(first - second), nan=np.inf, posinf=np.inf))
        allowed = bound * (1 + np.nan_to_num(np.abs(first), nan=0.0, posinf=0.0))
    return gaps, gaps > allowed


def _distances(expected: np.ndarray, actual: np.ndarray, differs: np.ndarray) -> np.ndarray:
    if expected.dtype.kind in "OSU":
        return differs.astype(np.float64)
    # Different large integers may have the same nearest float.
    distances: np.ndarray = np.abs(expected.astype(np.float64) - actual.astype(np.float64))
    distances[differs & (distances == 0)] = 1.0
    return distances
