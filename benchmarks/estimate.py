"""Estimate the cost of many exports a day from the measured cost of one."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Costs", "Estimate", "estimate_day"]

_DAY_SECONDS = 86_400
_HOUR_SECONDS = 3_600


@dataclass(frozen=True, kw_only=True)
class Costs:
    """The cost of exports in batches, in seconds.

    Attributes:
        first: Worker time of a batch of one: its task, and the wait for the next task.
        further: Worker time of each further checkpoint in the batch.
        first_cpu: Processor time of a batch of one, including Airflow's for its run.
        further_cpu: Processor time of each further checkpoint.
    """

    first: float
    further: float
    first_cpu: float
    further_cpu: float


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The cost of a day.

    Attributes:
        batches: The number of tasks that export.
        worker_hours: The worker time, in hours.
        core_hours: The processor time, in hours.
        workers: The fewest workers, if they are never idle.
        cores: The fewest cores.
    """

    batches: int
    worker_hours: float
    core_hours: float
    workers: int
    cores: int


def estimate_day(costs: Costs, exports: int, batch_size: int) -> Estimate:
    """Estimate the cost of a day.

    Args:
        costs: The measured costs.
        exports: The exports of the day, at least 1.
        batch_size: The size of every batch but the last, at least 1.

    Returns:
        The estimate: `batches * first + (exports - batches) * further`, once for workers and once for cores.

    Raises:
        ValueError: A number is less than 1.
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
