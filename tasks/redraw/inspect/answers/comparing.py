"""Are two answers the same?"""

from __future__ import annotations

import ml_dtypes
import numpy as np

# Roundings by which the same sum may differ when threads add it up in another order.
_ROUNDINGS = 8


def is_float(dtype: np.dtype) -> bool:
    """Whether it is real or complex floating-point, of NumPy's dtypes or `ml_dtypes`'."""
    return dtype.kind in "fc" or (dtype.kind == "V" and "float" in dtype.name)


def rounding(dtype: np.dtype) -> float:
    """The relative difference that rounding explains, for floating-point dtypes."""
    return _ROUNDINGS * float(ml_dtypes.finfo(dtype).eps)


def difference(want: np.ndarray, got: np.ndarray, tolerance: float) -> str:
    """What differs between two answers; empty where nothing does.

    Args:
        want: The one.
        got: The other.
        tolerance: For floats, relative to the largest of them; what their rounding explains
            is allowed in any case. NaN equals NaN, infinity equals infinity.

    Returns:
        A few words, with the figure.
    """
    if want.dtype != got.dtype or want.ndim != got.ndim:
        return f"{got.dtype} of rank {got.ndim} instead of {want.dtype} of rank {want.ndim}"
    if want.shape != got.shape:
        return f"shape {list(got.shape)} instead of {list(want.shape)}"
    if not is_float(want.dtype):
        unequal = int(np.sum(want != got))
        return f"{unequal} of {want.size} values differ" if unequal else ""
    wide = np.complex128 if want.dtype.kind == "c" else np.float64
    first, second = want.astype(wide), got.astype(wide)
    with np.errstate(invalid="ignore"):
        gaps = np.abs(first - second)
    gaps[(first == second) | (np.isnan(first) & np.isnan(second))] = 0.0
    largest = float(np.max(np.abs(first[np.isfinite(first)]), initial=1.0))
    gap = float(np.max(gaps, initial=0.0))
    kept = gap <= max(tolerance, rounding(want.dtype)) * largest  # which no NaN keeps
    return "" if kept else f"values differ by up to {gap:.3g}"


def misfit_of(want: np.ndarray, got: np.ndarray, rows: int, tolerance: float) -> str | None:
    """Why two answers cannot be compared row by row; None if they can, empty if they are the same as a whole.

    An answer need not have a value for each row: it may be one value, or those of ragged rows in a line.
    """
    if want.shape != got.shape:
        return f"shape {list(got.shape)} instead of {list(want.shape)}"
    kinds = ["texts" if array.dtype.kind in "OSU" else array.dtype.name for array in (got, want)]
    if kinds.count("texts") == 1:
        return f"{kinds[0]} instead of {kinds[1]}"
    if want.shape[:1] == (rows,):
        return None
    differing = int(compare_values(want, got, tolerance)[1].sum())
    return f"{differing} of {want.size} values of all {rows} rows together" if differing else ""


def compare_values(want: np.ndarray, got: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """How far values are apart, and which differ; equal NaNs and infinities are the same."""
    if not (is_float(want.dtype) or is_float(got.dtype)):
        differs = np.asarray(want != got)
        return _distances(want, got, differs), differs
    # A number in JSON has no dtype: what is rounded is the one of fewer digits.
    bound = max([tolerance, *(rounding(one.dtype) for one in (want, got) if is_float(one.dtype))])
    wide = np.complex128 if "c" in (want.dtype.kind, got.dtype.kind) else np.float64
    first, second = want.astype(wide), got.astype(wide)
    same = (first == second) | (np.isnan(first) & np.isnan(second))
    with np.errstate(invalid="ignore", over="ignore"):
        gaps = np.where(same, 0.0, np.nan_to_num(np.abs(first - second), nan=np.inf, posinf=np.inf))
        allowed = bound * (1 + np.nan_to_num(np.abs(first), nan=0.0, posinf=0.0))
    return gaps, gaps > allowed


def _distances(want: np.ndarray, got: np.ndarray, differs: np.ndarray) -> np.ndarray:
    if want.dtype.kind in "OSU":
        return differs.astype(np.float64)
    # Of large integers the nearest floats may be the same.
    distances: np.ndarray = np.abs(want.astype(np.float64) - got.astype(np.float64))
    distances[differs & (distances == 0)] = 1.0
    return distances
