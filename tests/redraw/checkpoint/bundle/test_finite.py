from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from redraw.checkpoint.bundle.finite import FiniteScan
from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.bundle.writer import BundleWriter

FLOATS = ["float16", "bfloat16", "float32", "float64", "float8_e5m2", "float8_e4m3fn", "float8_e4m3fnuz"]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("cut", [1, 3, 7, 4096])
def test_scan_counts_what_numpy_counts_however_it_is_cut(dtype: str, cut: int) -> None:
    held = np.dtype(getattr(ml_dtypes, dtype, dtype))
    content = np.random.default_rng(5).integers(0, 256, 4096, np.uint8)
    with np.errstate(invalid="ignore"):
        values = content.view(held).astype(np.float64)
    expected = int(np.count_nonzero(~np.isfinite(values)))
    scan = FiniteScan(dtype)
    for start in range(0, content.size, cut):
        scan.update(content[start : start + cut].tobytes())
    assert FiniteScan.can_scan(dtype)
    assert scan.count == expected > 0


def test_scan_of_complex_numbers_counts_each_part() -> None:
    scan = FiniteScan("complex64")
    scan.update(np.array([1, complex(np.nan, np.inf), complex(0, np.inf)], np.complex64).tobytes())
    assert scan.count == 3


def test_write_and_copy_note_what_is_not_finite_by_tensor(tmp_path: Path) -> None:
    bad = np.array([[1, np.nan], [np.inf, 2]], np.float32)
    with BundleWriter(tmp_path / "first") as writer:
        writer.add_array("good", np.ones(3, np.float32))
        writer.add_array("bad", bad)
        writer.add_slice("cut", [4, 2], [0, 0], bad)
        writer.add_slice("cut", [4, 2], [2, 0], bad)
        writer.add_array("count", np.int64(7))
    assert writer.non_finite == {"bad": 2, "cut": 4}
    source = TensorBundle(tmp_path / "first")
    with BundleWriter(tmp_path / "second") as copy:
        for entry in source.entries.values():
            copy.copy(entry, source, f"served/{entry.key}")
    assert copy.non_finite == {"served/bad": 2, "served/cut": 4}
