"""Measure what parsing the DAG file adds to the import of `airflow.sdk`, which every DAG file needs."""

from __future__ import annotations

import os
from collections.abc import Callable

from benchmarks.harness import Comparison, Run, take_turns
from benchmarks.workshop import ROOT, Workshop

__all__ = ["measure_dag_parse"]

_SDK = "import airflow.sdk"
# The SDK loads its parts at their first use: every DAG file needs at least these.
_EMPTY = """
from airflow.sdk import DAG, Asset, BaseOperator, CronTriggerTimetable, Param
with DAG("empty", schedule=CronTriggerTimetable("0 3 * * MON", timezone="UTC"), params={"a": Param(1)}):
    BaseOperator(task_id="nothing")
"""
_DAG_FILE = f"{_SDK}; import retrain_and_export"
_LIMIT = 0.3


def measure_dag_parse(workshop: Workshop) -> tuple[Comparison, ...]:
    """Import only `airflow.sdk`, then with a minimal DAG, then with the DAG file."""
    variables = {
        "AIRFLOW_HOME": os.fspath(workshop.folder / "parse"),
        "PYTHONPATH": os.pathsep.join([workshop.environment["PYTHONPATH"], os.fspath(ROOT / "dags")]),
    }

    def program(text: str) -> Callable[[], Run]:
        return lambda: workshop.python("-c", text, variables=variables)

    series = take_turns(
        {
            _SDK: program(_SDK),
            "a DAG of one empty task": program(_EMPTY),
            "dags/retrain_and_export.py": program(_DAG_FILE),
        },
        workshop.turns,
    )
    title = "DAG parse: a fresh process that imports airflow.sdk, then the DAG file"
    return (Comparison(title=title, series=series, notes={"to be added at most": f"{_LIMIT} s"}),)
