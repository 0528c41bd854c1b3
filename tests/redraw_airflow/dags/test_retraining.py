from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.sdk import CronTriggerTimetable

from redraw_airflow.dags import retrain_each
from tests.paths import TESTS

DEFINITION = """\"\"\"Numbers of {name}.\"\"\"
from sample_models.line_module import LineDefinition

class Mine(LineDefinition):
    {body}
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Definitions with a schedule, without one, with a wrong one, and one that is broken."""
    folder = tmp_path / f"models_{tmp_path.name.replace('-', '_')}"
    folder.mkdir()
    bodies = {
        "monday": "schedule = '0 3 * * MON'\n    owner = 'vision'",
        "by_hand": "pass",
        "thursday": "schedule = 'on thursdays'",
        "broken": "schedule = max('0 3 * * MON', '')",
    }
    for name, body in bodies.items():
        (folder / f"{name}.py").write_text(DEFINITION.format(name=name, body=body))
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.setenv("REDRAW_MODELS", folder.name)
    return folder


def test_retrain_each_makes_a_dag_of_every_model_that_asks_for_a_schedule(
    package: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        made = retrain_each()

    (dag,) = made.values()
    assert list(made) == ["retrain_monday"]
    assert dag.timetable == CronTriggerTimetable("0 3 * * MON", timezone="UTC", run_immediately=timedelta(0))
    assert dag.description == "Numbers of monday."
    assert {task.owner for task in dag.tasks} == {"vision"}
    assert dag.params["model"] == "monday"
    assert "no DAG for model 'thursday': schedule: " in caplog.text


def test_retrain_each_of_named_models_takes_what_the_call_says(
    package: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        made = retrain_each(
            ["monday", "by_hand", "broken", "missing"],
            dag_id="team_{model}",
            schedule="@daily",
            default_args={"owner": "team"},
            tags=["team"],
        )

    assert list(made) == ["team_monday", "team_by_hand"]
    assert made["team_monday"].schedule != made["team_by_hand"].schedule == "@daily"
    assert {task.owner for dag in made.values() for task in dag.tasks} == {"team"}
    assert all(dag.tags == {"team"} for dag in made.values())
    assert "no DAG for model 'broken': module" in caplog.text
    assert "no DAG for model 'missing': no package has its definition" in caplog.text
