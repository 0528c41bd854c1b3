"""Operators on the real command line, as far as it needs neither TensorFlow nor a bucket."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.sdk.exceptions import AirflowFailException

from redraw.records import TrainingRun
from redraw.requests import CompareAnswersRequest, LiveRequest, PruneRequest
from redraw_airflow.operators.base import StageOperator
from redraw_airflow.operators.inputs import TaskFolder
from redraw_airflow.operators.training import (
    CheckpointOperator,
    CompareAnswersOperator,
    ExportSavedModelOperator,
    PruneOperator,
    PushModelOperator,
    RollBackOperator,
    SetLiveOperator,
    TrainOperator,
    ValidateSavedModelOperator,
)

RUN = TrainingRun(model="mnist", uri="/work/run", run="run", step=100).to_json()


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("REDRAW_WORK", str(tmp_path / "work"))
    monkeypatch.setenv("REDRAW_CHECKPOINTS", str(tmp_path / "catalogue"))
    monkeypatch.setenv("REDRAW_MODEL_BUCKET", "gs://models")
    ti = SimpleNamespace(dag_id="dag", run_id="manual__1", task_id="task", map_index=-1, try_number=2)
    return {"ti": ti, "dag_run": SimpleNamespace(triggering_user_name="ada")}


def execute(operator: StageOperator, context: dict[str, Any]) -> dict[str, Any]:
    return operator.execute(cast(Any, context))


def fields(operator: StageOperator, context: dict[str, Any]) -> dict[str, Any]:
    operator.take_arguments()
    return operator.request_fields(TaskFolder(None, "mnist", context["ti"]))


def test_execute_with_unknown_model_fails_at_once_with_the_stages_line(context: dict[str, Any]) -> None:
    operator = TrainOperator(task_id="train", model="no_such_model")

    with pytest.raises(AirflowFailException, match="^model 'no_such_model': expected one of .*mnist"):
        execute(operator, context)


def test_execute_with_model_that_is_a_path_fails_before_anything_starts(context: dict[str, Any]) -> None:
    operator = TrainOperator(task_id="train", model="../mnist", python="/nowhere/python")

    with pytest.raises(AirflowFailException, match=r"^model name '\.\./mnist'"):
        execute(operator, context)


def test_execute_with_record_of_another_stage_fails_and_names_both(context: dict[str, Any]) -> None:
    operator = ExportSavedModelOperator(task_id="export", model="mnist", checkpoint=RUN, python="/nowhere")

    with pytest.raises(AirflowFailException, match="expected a Checkpoint record, got 'TrainingRun'"):
        execute(operator, context)


def test_execute_with_run_folder_that_is_absent_fails_at_once(
    context: dict[str, Any], tmp_path: Path
) -> None:
    absent = str(tmp_path / "absent")
    operator = CheckpointOperator(task_id="checkpoint", model="mnist", training_run=absent)

    with pytest.raises(AirflowFailException, match="absent"):
        execute(operator, context)


def test_train_of_second_try_writes_where_the_first_did(context: dict[str, Any]) -> None:
    operator = TrainOperator(
        task_id="train", model="mnist", max_steps="200", warm_start="", distribution="mirrored"
    )

    asked = fields(operator, context)

    assert asked["out"].endswith("/mnist/" + asked["run"] + "/task")
    assert (asked["max_steps"], asked["warm_start"], asked["distribution"]) == (200, None, "mirrored")


@pytest.mark.parametrize(("given", "asked_of"), [("gs://mine", "gs://mine"), (None, "gs://everyones")])
def test_train_with_a_warm_start_of_the_catalogue_says_which_catalogue(
    given: str | None, asked_of: str, context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDRAW_CHECKPOINTS", "gs://everyones")
    operator = TrainOperator(task_id="train", model="mnist", warm_start="1000-0123", catalogue=given)

    asked = fields(operator, context)

    assert (asked["warm_start"], asked["catalogue"]) == ("1000-0123", asked_of)


def test_checkpoint_without_a_run_asks_the_catalogue(context: dict[str, Any]) -> None:
    operator = CheckpointOperator(
        task_id="checkpoint", model="mnist", catalogue="c", choose="best", metric="accuracy"
    )

    asked = fields(operator, context)

    assert (asked["from"], asked["best"]) == (None, "accuracy")


def test_export_of_second_try_writes_to_a_folder_of_its_own(context: dict[str, Any]) -> None:
    operator = ExportSavedModelOperator(task_id="export", model="mnist", checkpoint="c", weights="default")

    asked = fields(operator, context)

    assert asked["out"].endswith("/task-try2")
    assert asked["weights"] is None


def test_export_given_step_and_leave_as_text_asks_for_what_they_say(context: dict[str, Any]) -> None:
    arguments = {"model": "mnist", "checkpoint": "gs://runs/estimator"}
    asked = fields(
        ExportSavedModelOperator(task_id="export", step="300", allow_non_finite="True", **arguments), context
    )
    assert (asked["step"], asked["allow_non_finite"]) == (300, True)
    asked = fields(ExportSavedModelOperator(task_id="export2", step="", **arguments), context)
    assert (asked["step"], asked["allow_non_finite"]) == (None, False)
    assert {"step", "allow_non_finite"} <= set(ExportSavedModelOperator.template_fields)


def test_validate_of_second_try_writes_a_report_of_its_own(context: dict[str, Any]) -> None:
    operator = ValidateSavedModelOperator(task_id="validate", model="mnist", saved_model="s")

    asked = fields(operator, context)

    assert asked["report"].endswith("/task-try2.json")
    assert (asked["against"], asked["allow_breaking"], asked["waive"]) == (None, None, [])


def test_validate_given_blank_texts_as_templates_write_them_compares_with_nothing(
    context: dict[str, Any],
) -> None:
    operator = ValidateSavedModelOperator(
        task_id="validate", model="mnist", saved_model="s", against="", allow_breaking="None", waive=""
    )

    asked = fields(operator, context)

    assert (asked["against"], asked["allow_breaking"], asked["waive"]) == (None, None, [])


def test_validate_with_waiver_that_has_no_reason_fails_before_anything_starts(
    context: dict[str, Any],
) -> None:
    operator = ValidateSavedModelOperator(
        task_id="validate", model="mnist", saved_model="s", waive=["loads"], python="/nowhere/python"
    )

    with pytest.raises(AirflowFailException, match="expected CHECK=REASON, got 'loads'"):
        execute(operator, context)


@pytest.mark.parametrize("waive", [["loads=no room"], "loads=no room", "loads=no room\n"])
def test_validate_against_a_bucket_asks_for_all_that_was_given(
    waive: list[str] | str, context: dict[str, Any]
) -> None:
    operator = ValidateSavedModelOperator(
        task_id="validate",
        model="mnist",
        saved_model="s",
        against="gs://models",
        allow_breaking="version 2 of the clients",
        waive=waive,
    )

    asked = fields(operator, context)

    assert asked["against"] == "gs://models"
    assert asked["allow_breaking"] == "version 2 of the clients"
    assert asked["waive"] == ["loads=no room"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, {"latest": True}),
        ({"choose": "best", "metric": "loss", "step": 7}, {"best": "loss"}),
        ({"choose": "step", "metric": "loss", "step": "7"}, {"step": 7}),
    ],
)
def test_checkpoint_chosen_one_way_asks_for_that_alone(
    arguments: dict[str, Any], expected: dict[str, Any], context: dict[str, Any]
) -> None:
    operator = CheckpointOperator(task_id="checkpoint", model="mnist", training_run=RUN, **arguments)

    asked = fields(operator, context)

    assert {key: asked[key] for key in asked if key in {"latest", "best", "step"}} == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"choose": "best"}, "metric: expected a value, because choose is 'best'"),
        ({"choose": "step", "step": ""}, "step: expected a value, because choose is 'step'"),
        ({"choose": "newest"}, "choose: expected one of latest, best, step, got 'newest'"),
    ],
)
def test_checkpoint_chosen_by_halves_fails_and_says_what_is_missing(
    arguments: dict[str, Any], message: str, context: dict[str, Any]
) -> None:
    operator = CheckpointOperator(task_id="checkpoint", model="mnist", training_run=RUN, **arguments)

    with pytest.raises(AirflowFailException, match=f"^{message}"):
        execute(operator, context)


def test_push_given_false_as_text_does_not_make_it_live(context: dict[str, Any]) -> None:
    operator = PushModelOperator(
        task_id="push", model="mnist", saved_model="s", report="r", make_live="False"
    )

    asked = fields(operator, context)

    assert asked["make_live"] is False
    assert asked["bucket"] == "gs://models"


def test_push_with_blank_bucket_and_no_environment_fails_and_names_both(
    context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REDRAW_MODEL_BUCKET")
    operator = PushModelOperator(task_id="push", model="mnist", saved_model="s", report="r", bucket="")

    with pytest.raises(AirflowFailException, match="^bucket: .* set REDRAW_MODEL_BUCKET"):
        execute(operator, context)


def test_push_of_a_run_by_hand_names_the_user_and_of_a_schedule_the_scheduler(
    context: dict[str, Any],
) -> None:
    operator = PushModelOperator(task_id="push", model="mnist", saved_model="s", report="r")

    by_hand = operator.run_fields(cast(Any, context))
    context["dag_run"].triggering_user_name = None

    assert by_hand == {"by": "ada", "dag_run": "dag/manual__1", "try_number": 2}
    assert operator.run_fields(cast(Any, context))["by"] == "scheduler"


@pytest.mark.parametrize(
    ("version", "expected"), [("2026010100000000", {"set": 2026010100000000}), ("", {"previous": True})]
)
def test_roll_back_asks_for_the_version_or_else_for_the_one_before(
    version: str, expected: dict[str, Any], context: dict[str, Any]
) -> None:
    operator = RollBackOperator(
        task_id="back", model="mnist", version=version, reason="wrong", allow_older=""
    )

    asked = LiveRequest.from_json({"model": "mnist", **fields(operator, context)})

    assert {name: getattr(asked, name) for name in expected} == expected
    assert (asked.reason, asked.allow_older, asked.bucket) == ("wrong", None, "gs://models")


def test_set_live_without_a_version_fails_and_says_so(context: dict[str, Any]) -> None:
    operator = SetLiveOperator(task_id="live", model="mnist", version="")

    with pytest.raises(AirflowFailException, match="^version: expected a version to make live, got none"):
        execute(operator, context)


def test_set_live_canary_of_an_unlabelled_version_asks_for_the_label(context: dict[str, Any]) -> None:
    operator = SetLiveOperator(task_id="live", model="mnist", version="7", version_label="canary")

    asked = LiveRequest.from_json({"model": "mnist", **fields(operator, context)})

    assert (asked.set, asked.label) == (7, "canary")


def test_compare_answers_takes_a_file_of_a_mapped_task_and_asks_for_the_live_version(
    context: dict[str, Any],
) -> None:
    operator = CompareAnswersOperator(
        task_id="compare", model="mnist", version="7", requests="gs://logs/a.jsonl", slices=["country"]
    )

    asked = CompareAnswersRequest.from_json({"model": "mnist", **fields(operator, context)})

    assert (asked.version, asked.other, asked.tolerance) == (7, None, None)
    assert (asked.requests, asked.slice) == (("gs://logs/a.jsonl",), ("country",))


def test_prune_given_text_asks_in_numbers_and_does_nothing_by_default(context: dict[str, Any]) -> None:
    operator = PruneOperator(task_id="prune", model="mnist", keep="3", keep_days="1.5")

    asked = PruneRequest.from_json({"model": "mnist", **fields(operator, context)})

    assert (asked.keep, asked.keep_days, asked.apply) == (3, 1.5, False)


def test_prune_for_days_that_are_no_number_fails_and_says_so(context: dict[str, Any]) -> None:
    operator = PruneOperator(task_id="prune", model="mnist", keep_days="a week")

    with pytest.raises(AirflowFailException, match="^keep_days: expected a number, got str 'a week'"):
        execute(operator, context)
