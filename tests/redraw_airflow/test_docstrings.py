"""Each public name of `redraw_airflow` has an example in its docstring, and the examples run as one DAG."""

from __future__ import annotations

import doctest
import inspect

import pytest
from airflow.sdk import DAG, AssetWatcher

import redraw_airflow

# Each after those whose output its example takes.
_PATH = (
    "TrainOperator",
    "CheckpointOperator",
    "ExportSavedModelOperator",
    "ValidateSavedModelOperator",
    "ApproveReleaseOperator",
    "PushModelOperator",
    "PlanReexportOperator",
)
# A result, which nobody makes.
_WITHOUT = {"VertexRegistration"}


def test_examples_of_all_public_names_make_one_dag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDRAW_MODELS", raising=False)
    public = {name: getattr(redraw_airflow, name) for name in redraw_airflow.__all__}
    space = {**public, "DAG": DAG, "AssetWatcher": AssetWatcher}
    without = set()
    with DAG("examples", schedule=None) as dag:
        for name in (*_PATH, *sorted(public.keys() - set(_PATH))):
            examples = doctest.DocTestParser().get_examples(inspect.getdoc(public[name]) or "")
            without |= set() if examples else {name}
            for example in examples:
                code = compile(example.source, name, "single")
                if doctest.SKIP not in example.options:  # what asks a bucket
                    exec(code, space)  # noqa: S102 - our own docstrings
    assert without == _WITHOUT
    operators = {name for name, value in public.items() if name.endswith(("Operator", "Sensor"))}
    assert {type(task).__name__ for task in dag.tasks if not task.is_mapped} == operators - {
        "ReexportOperator"
    }
    assert [task.task_id for task in dag.tasks if task.is_mapped] == ["reexport"]
