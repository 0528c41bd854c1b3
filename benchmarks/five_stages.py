"""Measure what Airflow adds to the five stages: a run of the DAG versus the same commands by hand."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from statistics import median

from benchmarks.dag_runs import TimedRun, time_run
from benchmarks.harness import Comparison, Run, Series, take_turns
from benchmarks.workshop import MODEL, STEPS, Workshop
from redraw_airflow.standalone.airflow_api import AirflowApi
from redraw_airflow.standalone.services import read_password

__all__ = ["measure_five_stages"]

_DAG = "retrain_and_export"
_DAG_SECONDS = 120.0
_MOST_TURNS = 3


def measure_five_stages(workshop: Workshop) -> tuple[Comparison, ...]:
    """Run the stages by hand and in the DAG, in turns, both with Airflow running.

    There is no warm-up, because the training takes much longer than the extra cost of a first run. More than
    three turns do not improve the result.
    """
    workshop.start_airflow()
    hand: list[Mapping[str, Run]] = []
    dag: list[TimedRun] = []
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
            dag.append(time_run(api, _DAG, {"model": MODEL, "steps": STEPS}, workshop.check_services))
            return Run(seconds=dag[-1].seconds)

        ways = {"by hand": by_hand, "in the DAG": by_airflow}
        series = take_turns(ways, min(workshop.turns, _MOST_TURNS), warm_up=False)
    return (_compare_runs(series, dag), *_stage_by_stage(hand, dag))


def _compare_runs(series: tuple[Series, ...], dag: list[TimedRun]) -> Comparison:
    tasks = median(sum(run.tasks.values()) for run in dag)
    waits = median(sum(run.waits.values()) for run in dag)
    idle = median(run.idle_seconds for run in dag)
    count = len(dag[0].tasks)
    notes = {
        "sum of the DAG's tasks": f"{tasks:.1f} s",
        "waits before the tasks": f"{waits:.1f} s, {waits / count:.2f} s a task",
        # Other load on the machine disturbs this less than the difference of two runs.
        "time of the run in which no task ran": f"{idle:.1f} s, {idle / count:.2f} s a task",
    }
    title = f"Five stages of {MODEL}, {STEPS} steps: by hand, and a run of {_DAG}"
    return Comparison(title=title, series=series, notes=notes)


def _stage_by_stage(hand: list[Mapping[str, Run]], dag: list[TimedRun]) -> tuple[Comparison, ...]:
    return tuple(
        Comparison(
            title=f"Stage {stage}: by hand, and as a task",
            series=(
                Series(way=f"python -m redraw {stage}", runs=tuple(run[stage] for run in hand)),
                Series(way=f"task {stage}", runs=tuple(Run(seconds=run.tasks[stage]) for run in dag)),
            ),
            notes={"wait before the task": f"{median(run.waits[stage] for run in dag):.2f} s"},
        )
        for stage in hand[0]
    )


def _in_sequence(runs: Iterable[Run]) -> Run:
    """Combine several runs: the sum of the seconds, and the largest peak."""
    runs = tuple(runs)
    return Run(
        seconds=sum(run.seconds for run in runs),
        cpu_seconds=sum(run.cpu_seconds or 0 for run in runs),
        peak_bytes=Series(way="", runs=runs).peak_bytes,
    )
