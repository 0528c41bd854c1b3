"""Measure how long Airflow's DAG processor parses the DAG files of 10, 100 and 1,000 models.

Each definition is a copy of MNIST's. There are two ways: the DAGs that ship, whose forms offer every model,
and a user's DAG file that makes a DAG of five stages for each model.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from benchmarks.harness import Comparison, Run, take_turns
from benchmarks.workshop import ROOT, Workshop

__all__ = ["measure_models"]

_NUMBERS = (10, 100, 1000)
_MOST_TURNS = 3
_SHIPPED = """
import mark_version, prune_versions, reexport_checkpoints, retrain_and_export, roll_back_model
"""
_ONE_EACH = """
from airflow.sdk import DAG, CronTriggerTimetable
from redraw_airflow.operators.training import (
    CheckpointOperator, ExportSavedModelOperator, PushModelOperator, TrainOperator, ValidateSavedModelOperator
)
from redraw.definition.registry import list_models

for number, model in enumerate(list_models()):
    weekly = CronTriggerTimetable(f"{number % 60} {number // 60 % 24} * * MON", timezone="UTC")
    with DAG(f"retrain_{model.name}", schedule=weekly, default_args={"model": model.name}) as dag:
        train = TrainOperator(task_id="train")
        checkpoint = CheckpointOperator(task_id="checkpoint", training_run=train.output)
        export = ExportSavedModelOperator(task_id="export", checkpoint=checkpoint.output)
        validate = ValidateSavedModelOperator(task_id="validate", saved_model=export.output)
        push = PushModelOperator(task_id="push", saved_model=export.output, report=validate.output)
    globals()[dag.dag_id] = dag
"""


def measure_models(workshop: Workshop) -> tuple[Comparison, ...]:
    """Parse the DAG files in a fresh process, with more and more definitions."""
    return tuple(
        _compare(workshop, title, program)
        for title, program in (
            ("Parsing the DAGs that ship, whose forms offer every model", _SHIPPED),
            ("Parsing a file that makes a DAG for each model", _ONE_EACH),
        )
    )


def _compare(workshop: Workshop, title: str, program: str) -> Comparison:
    ways = {f"{number:,} models": _parsing(workshop, number, program) for number in _NUMBERS}
    series = take_turns(ways, min(workshop.turns, _MOST_TURNS))
    fewest, most = series[0], series[-1]
    added = (most.seconds - fewest.seconds) / (_NUMBERS[-1] - _NUMBERS[0])
    return Comparison(title=title, series=series, notes={"for each more": f"{1e3 * added:.2f} ms"})


def _parsing(workshop: Workshop, number: int, program: str) -> Callable[[], Run]:
    package = _write_package(workshop.folder / "models", number)
    paths = (workshop.environment["PYTHONPATH"], os.fspath(ROOT / "dags"), os.fspath(package.parent))
    variables = {
        "AIRFLOW_HOME": os.fspath(workshop.folder / "parse"),
        "PYTHONPATH": os.pathsep.join(paths),
        "REDRAW_MODELS": package.name,
    }
    return lambda: workshop.python("-c", program, variables=variables)


def _write_package(folder: Path, number: int) -> Path:
    package = folder / f"models_{number}"
    if not package.exists():
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        definition = (ROOT / "tasks" / "redraw" / "models" / "mnist.py").read_text()
        for index in range(number):
            # Different texts, because equal ones are parsed once.
            (package / f"model_{index:04d}.py").write_text(f"{definition}\n# {index}\n")
    return package
