from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.sdk.exceptions import AirflowFailException

from redraw.requests import LiveRequest, PinRequest, Request
from redraw_airflow.operators.inputs import TaskFolder
from redraw_airflow.operators.retention import MarkVersionOperator

FOLDER = TaskFolder(
    "/work", "mnist", cast(Any, SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1))
)


def asked(mark: str, **more: Any) -> tuple[str, Request]:
    operator = MarkVersionOperator(
        task_id="mark", model="mnist", version="12", mark=mark, bucket="gs://models", **more
    )
    stage, request = operator.stage_and_request()
    operator.take_arguments()
    return stage, request.from_json({"model": "mnist", **operator.request_fields(FOLDER), "by": "ada"})


@pytest.mark.parametrize(
    ("mark", "stage", "request_"),
    [
        (
            "canary",
            "live",
            LiveRequest(model="mnist", bucket="gs://models", set=12, label="canary", reason="why", by="ada"),
        ),
        (
            "uncanary",
            "live",
            LiveRequest(
                model="mnist",
                bucket="gs://models",
                label="canary",
                remove_label=True,
                reason="why",
                by="ada",
            ),
        ),
        ("pin", "pin", PinRequest(model="mnist", bucket="gs://models", version=12, reason="why", by="ada")),
        (
            "unpin",
            "pin",
            PinRequest(model="mnist", bucket="gs://models", version=12, unpin=True, reason="why", by="ada"),
        ),
    ],
)
def test_mark_asks_the_stage_that_does_it(mark: str, stage: str, request_: Request) -> None:
    assert asked(mark, reason="why") == (stage, request_)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"mark": "delete", "version": 1},
            "^mark: expected one of canary, uncanary, pin, unpin, got 'delete'",
        ),
        ({"mark": "pin", "version": ""}, "^version: expected a version to mark, got none"),
        ({"mark": "pin", "version": 1}, "^pin request: reason: expected the reason"),
    ],
)
def test_mark_of_nonsense_fails_before_anything_starts(arguments: dict[str, Any], message: str) -> None:
    operator = MarkVersionOperator(
        task_id="mark", model="mnist", bucket="gs://models", python="/nowhere", work_dir="/work", **arguments
    )
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1)
    context = {"ti": ti, "dag_run": SimpleNamespace(triggering_user_name="ada")}

    with pytest.raises(AirflowFailException, match=message):
        operator.execute(cast(Any, context))
