"""What a run needs after its training is refused before it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from redraw.definition import Threshold, TrainingPlan
from redraw.errors import BucketNotFound, InvalidRequest
from redraw.requests import TrainRequest
from redraw.train.train import demand_foreseeable, train_model
from tests.paths import TESTS
from tests.sample_models.line_module import LineDefinition


class Averaged(LineDefinition):
    """The line, with an average of its weights; it keeps the last two checkpoints."""

    thresholds = {"loss": Threshold(at_most=100.0)}
    training = TrainingPlan(steps=10, evaluate_every=4, keep_checkpoints=2, average_decay=0.9)


def ask(definition: Any, **fields: Any) -> None:
    demand_foreseeable(TrainRequest(model="line_module", out="/nowhere", **fields), definition)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (
            LineDefinition,
            {"best": "accuracy"},
            "^metric: expected a metric of the evaluation .loss, training_loss.,",
        ),
        (
            LineDefinition,
            {"best": "average_loss"},
            "^metric: expected a metric of the evaluation .loss, training_loss",
        ),
        (
            LineDefinition,
            {"step": 7},
            "^step: expected a step .* of 8 steps keeps .4 to 8, every 4",
        ),
        (LineDefinition, {"step": 8, "max_steps": 5}, "of 5 steps keeps .4 to 5"),
        (Averaged, {"step": 4}, "8 to 10"),
        (LineDefinition, {"weights": "average"}, "^weights: expected raw"),
    ],
)
def test_demand_foreseeable_of_what_cannot_be_is_refused(
    kind: type[LineDefinition], fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        ask(kind(), **fields)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (LineDefinition, {}),
        (LineDefinition, {"best": "loss", "step": 4, "weights": "raw"}),
        (LineDefinition, {"best": "training_loss", "step": 5, "max_steps": 5}),
        (Averaged, {"best": "average_loss", "step": 10, "weights": "average"}),
    ],
)
def test_demand_foreseeable_of_what_will_be_passes(
    kind: type[LineDefinition], fields: dict[str, Any]
) -> None:
    ask(kind(), **fields)


def test_train_for_a_bucket_that_is_not_there_leaves_nothing(
    gcs_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.setenv("REDRAW_MODELS", "sample_models")
    out = tmp_path / "run"

    with pytest.raises(BucketNotFound):
        train_model(TrainRequest(model="line_module", out=str(out), bucket="gs://redraw-no-such-bucket"))

    assert not out.exists()


def test_demand_foreseeable_of_a_bucket_without_the_model_passes(new_bucket: Callable[[], str]) -> None:
    ask(LineDefinition(), bucket=new_bucket())
