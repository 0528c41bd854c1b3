from __future__ import annotations

import pytest

from benchmarks.estimate import Costs, Estimate, estimate_day

COSTS = Costs(first=18.0, further=0.36, first_cpu=36.0, further_cpu=0.72)


def test_estimate_day_batches_of_one_pays_the_start_each_time() -> None:
    found = estimate_day(COSTS, 10_000, 1)

    assert found == Estimate(batches=10_000, worker_hours=50.0, core_hours=100.0, workers=3, cores=5)


def test_estimate_day_large_batches_pays_the_start_once_a_batch() -> None:
    found = estimate_day(COSTS, 10_000, 100)

    assert (found.batches, found.workers, found.cores) == (100, 1, 1)
    assert found.worker_hours == pytest.approx((100 * 18.0 + 9_900 * 0.36) / 3600)
    assert found.core_hours == pytest.approx(2 * found.worker_hours)


def test_estimate_day_last_batch_that_is_not_full_is_a_batch() -> None:
    assert estimate_day(COSTS, 101, 50).batches == 3
    assert estimate_day(COSTS, 1, 50).batches == 1


def test_estimate_day_work_for_a_whole_day_needs_one_worker() -> None:
    hour = Costs(first=3600.0, further=0.0, first_cpu=0.0, further_cpu=0.0)

    assert [estimate_day(hour, exports, 1).workers for exports in (1, 24, 25)] == [1, 1, 2]


@pytest.mark.parametrize(("exports", "batch_size"), [(0, 1), (1, 0)])
def test_estimate_day_without_exports_or_batches_is_refused(exports: int, batch_size: int) -> None:
    with pytest.raises(ValueError, match=f"got {exports} and {batch_size}"):
        estimate_day(COSTS, exports, batch_size)
