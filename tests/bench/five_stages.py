"""What Airflow adds to the five stages: one run of the DAG beside the same commands by hand."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from redraw.embedded.airflow_api import AirflowApi, TaskState
from redraw.embedded.services import read_password
from tests.bench.harness import BenchmarkFailed, Comparison, Run, Series, take_turns
from tests.bench.workshop import MODEL, STEPS, Workshop

__all__ = ["measure_five_stages"]

_DAG = "retrain_and_export"
_DAG_SECONDS = 120.0
_POLL_SECONDS = 0.25
_MOST_TURNS = 3


@dataclass(frozen=True, kw_only=True)
class _DagRun:
    """One run of the DAG.

    Attributes:
        seconds: From the call that triggers it until it is seen to have ended.
        tasks: What each task took, by Airflow's account.
        waits: From the trigger, or the end of the task before, to each task's start.
    """

    seconds: float
    tasks: Mapping[str, float]
    waits: Mapping[str, float]


def measure_five_stages(workshop: Workshop) -> tuple[Comparison, ...]:
    """Run the stages by hand and in the DAG, in turns, both with Airflow running.

    Neither is warmed up: a training takes half a minute, and what a first run costs more
    is lost in it. More than three turns add nothing but time.
    """
    workshop.start_airflow()
    hand: list[Mapping[str, Run]] = []
    dag: list[_DagRun] = []
    count = itertools.count(1)
    settings = workshop.settings
    with AirflowApi(settings.airflow_url, "admin", read_password(settings)) as api:
        api.wait_for_dag(_DAG, _DAG_SECONDS, workshop.check_services)

        def by_hand() -> Run:
            workshop.say("The five stages by hand.")
            hand.append(workshop.run_stages(f"hand-{next(count)}").runs)
            return _in_sequence(hand[-1].values())

        def by_airflow() -> Run:
            workshop.say(f"The five stages in the DAG {_DAG}.")
            dag.append(_run_dag(workshop, api))
            return Run(seconds=dag[-1].seconds)

        ways = {"by hand": by_hand, "in the DAG": by_airflow}
        series = take_turns(ways, min(workshop.turns, _MOST_TURNS), warm_up=False)
    return (_whole(series, dag), *_stage_by_stage(hand, dag))


def _whole(series: tuple[Series, ...], dag: list[_DagRun]) -> Comparison:
    tasks = median(sum(run.tasks.values()) for run in dag)
    waits = median(sum(run.waits.values()) for run in dag)
    idle = median(run.seconds - sum(run.tasks.values()) for run in dag)
    each = len(dag[0].tasks)
    notes = {
        "sum of the DAG's tasks": f"{tasks:.1f} s",
        "waits before the tasks": f"{waits:.1f} s, {waits / each:.2f} s a task",
        # Whatever else the machine does disturbs this less than the difference of two runs.
        "time of the run in which no task ran": f"{idle:.1f} s, {idle / each:.2f} s a task",
    }
    title = f"Five stages of {MODEL}, {STEPS} steps: by hand, and a run of {_DAG}"
    return Comparison(title=title, series=series, notes=notes)


def _stage_by_stage(hand: list[Mapping[str, Run]], dag: list[_DagRun]) -> tuple[Comparison, ...]:
    return tuple(
        Comparison(
            title=f"Stage {stage}: by hand, and as a task",
            series=(
                Series(way=f"python -m tasks {stage}", runs=tuple(run[stage] for run in hand)),
                Series(way=f"task {stage}", runs=tuple(Run(seconds=run.tasks[stage]) for run in dag)),
            ),
            notes={"wait before the task": f"{median(run.waits[stage] for run in dag):.2f} s"},
        )
        for stage in hand[0]
    )


def _run_dag(workshop: Workshop, api: AirflowApi) -> _DagRun:
    triggered, started = datetime.now(UTC), time.perf_counter()
    run = api.trigger(_DAG, conf={"model": MODEL, "steps": STEPS})
    while (state := api.dag_run(_DAG, run.run_id).state) not in ("success", "failed"):
        workshop.check_services()
        time.sleep(_POLL_SECONDS)
    seconds = time.perf_counter() - started
    tasks = api.tasks(_DAG, run.run_id)
    if state != "success" or any(task.try_number != 1 for task in tasks):
        shown = ", ".join(f"{task.task_id} {task.state} (try {task.try_number})" for task in tasks)
        raise BenchmarkFailed(
            f"run {run.run_id}: expected success at the first try of each task, got {shown}."
        )
    spans = _spans(tasks)
    ends = [triggered, *(end for _, end in spans.values())]
    return _DagRun(
        seconds=seconds,
        tasks={name: (end - start).total_seconds() for name, (start, end) in spans.items()},
        waits={
            name: (start - before).total_seconds()
            for before, (name, (start, _)) in zip(ends, spans.items(), strict=False)
        },
    )


def _spans(tasks: list[TaskState]) -> dict[str, tuple[datetime, datetime]]:
    """When each task that has ended began and ended, in the order that they ran in."""
    return {t.task_id: (t.started, t.ended) for t in tasks if t.started is not None and t.ended is not None}


def _in_sequence(runs: Iterable[Run]) -> Run:
    """Several runs as one: the seconds of all, the peak of the largest."""
    done = tuple(runs)
    return Run(
        seconds=sum(run.seconds for run in done),
        cpu_seconds=sum(run.cpu_seconds or 0 for run in done),
        peak_bytes=Series(way="", runs=done).peak_bytes,
    )
