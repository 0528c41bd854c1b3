"""A training is watched from its first second to its last, by what its task leaves."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from redraw.records import TrainingRun
from redraw.records.progress import TrainingProgress, measured_line, step_line
from redraw_airflow.operators.progress import TrainingWatch
from redraw_airflow.operators.training import TrainOperator
from tests.paths import TESTS

PROGRESS = TrainingProgress(model="mnist", run="a-run", uri="/work/mnist/a-run")


class TaskInstance(SimpleNamespace):
    """Takes XComs."""

    def xcom_push(self, *, key: str, value: Any) -> None:
        self.pushed.append((key, value))


def test_watch_writes_at_most_every_three_seconds_and_each_evaluation_at_once() -> None:
    ti, now = TaskInstance(pushed=[]), [0.0]
    watch = TrainingWatch(cast(Any, ti), PROGRESS, "https://board", clock=lambda: now[0])
    assert [key for key, _ in ti.pushed] == ["_link_TensorBoardLink", "progress"]

    for step in range(1, 61):
        now[0] += 0.1
        watch.hear(step_line(step, 100, 10.0, 1.0))
        watch.hear("another line")
    watch.hear(measured_line(60, {"loss": 0.5}))

    written = [value["step"] for key, value in ti.pushed if key == "progress"]
    assert written[0] == 0
    assert 1 <= len(written) - 2 <= 2
    assert written[-1] == 60
    assert ti.pushed[-1][1]["measured"] == [{"step": 60, "metrics": {"loss": 0.5}}]


def test_watch_whose_xcoms_are_refused_ends_no_training() -> None:
    watch = TrainingWatch(cast(Any, SimpleNamespace()), PROGRESS)

    watch.hear(measured_line(60, {"loss": 0.5}))

    assert watch.progress.step == 60


def test_train_leaves_its_evaluations_and_the_link_from_the_first_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDRAW_WORK", str(tmp_path / "work"))
    monkeypatch.setenv("REDRAW_MODELS", "sample_models")
    monkeypatch.setenv("REDRAW_TENSORBOARD", "https://board.example/?run={run}")
    monkeypatch.syspath_prepend(str(TESTS))
    ti = TaskInstance(dag_id="d", run_id="r", task_id="train", map_index=-1, try_number=1, pushed=[])
    context: Any = {"ti": ti, "dag_run": SimpleNamespace(triggering_user_name="ada")}

    record = TrainOperator(task_id="train", model="line_module").execute(context)

    run = TrainingRun.from_json(record)
    assert ti.pushed[0] == ("_link_TensorBoardLink", f"https://board.example/?run={run.run}")
    progress = TrainingProgress.from_json(ti.pushed[-1][1])
    assert (progress.run, progress.uri) == (run.run, run.uri)
    assert [one.step for one in progress.measured] == [4, 8]
    assert progress.measured[-1].metrics["loss"] == pytest.approx(run.metrics["loss"], abs=1e-4)
