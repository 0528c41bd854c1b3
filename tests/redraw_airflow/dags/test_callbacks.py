from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.sdk.bases.notifier import BaseNotifier

from redraw_airflow.dags.callbacks import announce_failure, failure_reason


def context(exception: BaseException | str | None) -> Any:
    ti = SimpleNamespace(dag_id="retrain_and_export", task_id="validate", run_id="manual__1", try_number=2)
    return cast(Any, {"ti": ti, "task": SimpleNamespace(model="mnist"), "exception": exception})


def test_failure_reason_is_one_line_that_says_where_and_why() -> None:
    error = RuntimeError("stage validate: ended with status 1;  it last wrote:\nTraceback\n  secrets")

    assert failure_reason(context(error)) == (
        "retrain_and_export.validate (mnist) failed in manual__1, try 2: stage validate: ended with status 1;"
        " it last wrote:"
    )


def test_failure_reason_without_an_exception_or_with_a_long_one_still_fits() -> None:
    assert failure_reason(context(None)).endswith("try 2: ended without a message")
    long = failure_reason(context(ValueError("x" * 1000)))
    assert len(long) == 400
    assert long.endswith("…")


def test_announce_failure_logs_the_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="redraw_airflow.dags.callbacks"):
        announce_failure(context(ValueError("no such step")))

    assert [record.getMessage() for record in caplog.records] == [
        "retrain_and_export.validate (mnist) failed in manual__1, try 2: no such step"
    ]


class Noted(BaseNotifier):
    """What a provider's notifier would send."""

    template_fields = ("text",)

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.sent: list[str] = []

    def notify(self, context: Any) -> None:
        self.sent.append(self.text)


def test_failure_reason_with_braces_in_it_passes_through_a_notifier_as_it_is() -> None:
    failed = context(ValueError("signature {{ 1 + 1 }}"))
    notifier = Noted("{{ reason }}")

    notifier({**failed, "reason": failure_reason(failed)})

    assert notifier.sent == [
        "retrain_and_export.validate (mnist) failed in manual__1, try 2: signature {{ 1 + 1 }}"
    ]
