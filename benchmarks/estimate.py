"""What so many exports a day take, calculated from what one of them was measured to take."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Costs", "Estimate", "estimate_day"]

_DAY_SECONDS = 86_400
_HOUR_SECONDS = 3_600


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What exports in batches take, in seconds.

    Attributes:
        first: Of a worker, for a batch of one: its task, and the wait for the next one.
        further: Of a worker, for each checkpoint more in the same batch.
        first_cpu: Of the processor, for a batch of one: with all that Airflow does for its run.
        further_cpu: Of the processor, for each checkpoint more.
    """

    first: float
    further: float
    first_cpu: float
    further_cpu: float


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a day takes.

    Attributes:
        batches: Tasks that export.
        worker_hours: For which a worker is taken.
        core_hours: Of processor time.
        workers: The fewest that get it done, if they never rest.
        cores: The fewest that do.
    """

    batches: int
    worker_hours: float
    core_hours: float
    workers: int
    cores: int


def estimate_day(costs: Costs, exports: int, batch_size: int) -> Estimate:
    """What a day with so many exports takes.

    Args:
        costs: Measured.
        exports: A day, at least 1.
        batch_size: Of every batch but the last, at least 1.

    Returns:
        The estimate: `batches * first + (exports - batches) * further`, once for workers and once for cores.

    Raises:
        ValueError: There is nothing to export, or to put into a batch.
    """
    if exports < 1 or batch_size < 1:
        raise ValueError(f"exports, batch_size: expected at least 1, got {exports} and {batch_size}")
    batches = math.ceil(exports / batch_size)
    more = exports - batches
    seconds = batches * costs.first + more * costs.further
    cpu_seconds = batches * costs.first_cpu + more * costs.further_cpu
    return Estimate(
        batches=batches,
        worker_hours=seconds / _HOUR_SECONDS,
        core_hours=cpu_seconds / _HOUR_SECONDS,
        workers=math.ceil(seconds / _DAY_SECONDS),
        cores=math.ceil(cpu_seconds / _DAY_SECONDS),
    )
