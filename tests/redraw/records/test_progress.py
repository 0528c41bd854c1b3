"""What a training logs is what its watcher reads."""

from __future__ import annotations

import pytest

from redraw.records.progress import TrainingProgress, follow_line, measured_line, step_line

BEFORE = TrainingProgress(model="mnist", run="a-run", uri="gs://work/mnist/a-run")


def test_follow_line_of_a_step_takes_step_speed_and_loss() -> None:
    after = follow_line(BEFORE, step_line(120, 1000, 0.25, 0.5))

    assert (after.step, after.steps, after.steps_per_second) == (120, 1000, 0.25)
    assert [(point.step, point.loss) for point in after.losses] == [(120, 0.5)]
    assert TrainingProgress.from_json(after.to_json()) == after


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_follow_line_of_no_number_has_none(loss: float) -> None:
    after = follow_line(BEFORE, step_line(1, 2, 1e6, loss))
    after = follow_line(after, measured_line(2, {"loss": None, "accuracy": 0.5}))

    assert after.losses[0].loss is None
    assert after.measured[0].metrics == {"loss": None, "accuracy": 0.5}
    assert TrainingProgress.from_json(after.to_json()) == after


def test_follow_line_of_a_long_training_stays_small() -> None:
    progress = BEFORE
    for step in range(1, 5001):
        progress = follow_line(progress, step_line(step, 5000, 100.0, 1 / step))
        progress = follow_line(progress, measured_line(step, {"loss": 1 / step}))

    assert 100 <= len(progress.losses) <= 241
    assert (progress.losses[0].step, progress.losses[-1].step) == (1, 5000)
    assert [one.step for one in progress.measured] == list(range(4901, 5001))


def test_follow_line_after_a_retry_forgets_what_was_trained_twice() -> None:
    progress = BEFORE
    for step in (10, 20, 30, 15):
        progress = follow_line(progress, step_line(step, 40, 1.0, 1.0))

    assert [point.step for point in progress.losses] == [10, 15]


@pytest.mark.parametrize(
    "line",
    [
        "training mnist: run a, steps 0 to 8",
        "step 1/2",
        "step 1/2, fast, loss 1",
        f"step {10**20}/2, 1 steps/s, loss 1",
        "",
        "step : a 1",
    ],
)
def test_follow_line_of_another_kind_changes_nothing(line: str) -> None:
    assert follow_line(BEFORE, line) is BEFORE
