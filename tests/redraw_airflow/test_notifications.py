from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.log import mask_secret

from redraw.publish.events import deliver
from redraw.records import Check
from redraw_airflow.notifications import RedrawNotifier, quote_record
from tests.golden.records import EVENT, POINTER, RECORDS, RELEASE
from tests.publishing.webhook_server import SECRET, WebhookServer, run_webhook_server

TI = SimpleNamespace(dag_id="nightly", task_id="push", run_id="manual__1", try_number=2)
REPORT: Any = RECORDS["ValidationReport"]
BAD = Check(name="loads", status="failed", looked_at="x", expected="x", found="x")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebhookServer]:
    monkeypatch.setattr(deliver, "_PAUSES", (0.0, 0.01, 0.01))
    monkeypatch.setattr(deliver, "_MOST_SECONDS", 0.5)
    with run_webhook_server() as running:
        monkeypatch.setenv("REDRAW_WEBHOOK_CHAT_URL", f"{running.url}/ok/private-path")
        monkeypatch.setenv("REDRAW_WEBHOOK_BROKEN_URL", f"{running.url}/500/private-path")
        monkeypatch.setenv("REDRAW_WEBHOOK_BROKEN_SECRET", SECRET)
        monkeypatch.setenv("REDRAW_WEBHOOK_DRIP_URL", f"{running.url}/drip/private-path")
        yield running


def context(record: Any = None, exception: Any = None) -> Any:
    return {"ti": TI, "task": SimpleNamespace(model="digits", record=record), "exception": exception}


@pytest.mark.parametrize(
    ("context_of", "line"),
    [
        (
            context(RELEASE),
            f"digits {RELEASE.version} was published by {RELEASE.provenance.asked_by}: {RELEASE.uri}",
        ),
        (
            context(replace(RELEASE, events=(replace(EVENT, kind="push"), replace(EVENT, kind="live")))),
            f"digits {RELEASE.version} was published and made live by {RELEASE.provenance.asked_by}",
        ),
        (
            context(replace(POINTER, events=(EVENT,))),
            f"digits {EVENT.version}: label canary by ada: a first look",
        ),
        (context(RECORDS["Rollout"]), f"digits {RELEASE.version} was confirmed on 1 server"),
        (
            context(REPORT),
            f"digits: the export {REPORT.digest[:12]} passed validation, {len(REPORT.checks)} checks",
        ),
        (
            context(replace(REPORT, checks=(BAD,), passed=False), ValueError("no {{ 1 + 1 }}")),
            "nightly.push (digits) failed in manual__1, try 2: no {{ 1 + 1 }} (loads)",
        ),
        (context(), "nightly.push ended in manual__1, try 2"),
        (
            {"dag": DAG("nightly", schedule=None), "run_id": "manual__1", "reason": "task_failure"},
            "nightly ended in manual__1: task_failure",
        ),
    ],
)
def test_notifier_sends_a_line_that_quotes_the_record(
    context_of: Any, line: str, server: WebhookServer
) -> None:
    notifier = RedrawNotifier(webhook="chat", message="{{ redraw.summary }}!")
    notifier(context_of)
    notifier(context_of)

    first, again = (json.loads(request.body)["text"] for request in server.received)
    assert first == again == f"{quote_record(context_of)}!"
    assert first.startswith(line)
    assert "webhook-signature" not in server.received[0].headers


def test_notifier_has_the_record_and_the_error_for_its_template(server: WebhookServer) -> None:
    message = "{{ redraw.record.digest[:7] }} {{ redraw.error }} {{ ti.task_id }}"
    RedrawNotifier(webhook="chat", message=message)(context(RELEASE))
    RedrawNotifier(webhook="chat", message="{{ redraw.error }}")(context(None, ValueError("no step")))

    texts = [json.loads(request.body)["text"] for request in server.received]
    assert texts == [f"{RELEASE.digest[:7]} None push", "no step"]


@pytest.mark.parametrize(
    "message", ["{{ redraw.record.checkpoint.step }}", "{{ 1 / 0 }}", "{{ unclosed", "{% x %}"]
)
def test_notifier_whose_template_fails_sends_the_summary_and_warns(
    message: str, server: WebhookServer, caplog: pytest.LogCaptureFixture
) -> None:
    failed = context(None, ValueError("no step"))
    with caplog.at_level(logging.WARNING, "redraw_airflow.notifications"):
        RedrawNotifier(webhook="chat", message=message)(failed)
    (request,) = server.received
    assert json.loads(request.body)["text"] == quote_record(failed)
    (line,) = [record.getMessage() for record in caplog.records if "message: " in record.getMessage()]
    assert line.startswith("message: expected a template that renders, got")


@pytest.mark.parametrize("message", ["", " \n", "{{ redraw.record.note or '' }}", None])
@pytest.mark.parametrize("native", [False, True])
def test_notifier_whose_text_is_empty_sends_the_summary(
    message: Any, native: bool, server: WebhookServer
) -> None:
    record = RECORDS["Rollout"]
    dag = DAG("nightly", schedule=None, render_template_as_native_obj=native)
    ended = {**context(replace(record, note="")), "dag": dag}
    RedrawNotifier(webhook="chat", message=message)(ended)
    (request,) = server.received
    assert json.loads(request.body)["text"] == quote_record(ended)


def test_notifier_signs_any_text(server: WebhookServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDRAW_WEBHOOK_CHAT_SECRET", SECRET)
    for text in ("\ud800 \x00 \u202e", "x" * 2_000_000):
        RedrawNotifier(webhook="chat", message="{{ text }}")({**context(), "text": text})
        assert json.loads(server.received[-1].body)["text"] == text
        assert server.received[-1].is_signed()


def test_notice_has_an_id_of_its_run_and_try_by_which_receivers_drop_repeats(
    server: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDRAW_WEBHOOK_CHAT_SECRET", SECRET)
    notifier = RedrawNotifier(webhook="chat", message="failed")
    for change in ({}, {}, {"run_id": "manual__2"}, {"try_number": 3}):
        notifier({**context(), "ti": SimpleNamespace(**{**vars(TI), **change})})
    for run in ("manual__1", "manual__2"):
        notifier({"dag": DAG("nightly", schedule=None), "run_id": run})
    first, again, *others = (request.headers["webhook-id"] for request in server.received)
    assert first == again
    assert len({first, *others}) == 5
    assert all(request.is_signed() for request in server.received)


HOSTILE = (
    "<!channel> @here\x1b[2J <https://e.example|the report> [the report](https://e.example) ada@b.example"
)
HARMLESS = "‹!channel› @ here ‹https://e.example|the report› [the report] (https://e.example) ada@b.example"


@pytest.mark.parametrize(
    "context_of",
    [
        context(replace(POINTER, events=(replace(EVENT, reason=HOSTILE),))),
        context(replace(RELEASE, provenance=replace(RELEASE.provenance, asked_by=HOSTILE))),
        context(None, ValueError(HOSTILE)),
        {"dag": DAG("nightly", schedule=None), "run_id": HOSTILE, "reason": "task_failure"},
    ],
    ids=["reason", "name", "error", "run"],
)
def test_notifier_mentions_nobody_and_hides_no_link_for_others(
    context_of: Any, server: WebhookServer
) -> None:
    RedrawNotifier(webhook="chat", message="{{ redraw.summary }} <!here>")(context_of)
    (request,) = server.received
    text = json.loads(request.body)["text"]
    assert HARMLESS in text
    assert text.endswith(" <!here>")


def test_notifier_masks_what_logs_mask_and_sends_text_of_a_dag_with_native_templates(
    server: WebhookServer,
) -> None:
    mask_secret("a-password-of-somebody")
    dag = DAG("nightly", schedule=None, render_template_as_native_obj=True)
    failed = {**context(None, ValueError("1e999")), "dag": dag}
    RedrawNotifier(webhook="chat", message="{{ redraw.error }}")(failed)
    failed["exception"] = ValueError("no access with a-password-of-somebody")
    RedrawNotifier(webhook="chat")(failed)
    native, masked = (json.loads(request.body)["text"] for request in server.received)
    assert native == "inf"
    assert masked.endswith("no access with ***")


@pytest.mark.parametrize(
    ("webhook", "said"),
    [
        ("broken", "webhook broken (127.0.0.1): expected status 2xx, got 500"),
        ("drip", "webhook drip (127.0.0.1): expected an answer within 0.5 s, got none"),
        ("other", "webhook other: expected a connection of this name, or REDRAW_WEBHOOK_OTHER_URL"),
        ("", "webhook : expected a connection of this name"),
    ],
)
def test_notifier_whose_webhook_fails_warns_in_a_line(
    webhook: str, said: str, server: WebhookServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        RedrawNotifier(webhook=webhook)(context(RELEASE))

    (line,) = [record.getMessage() for record in caplog.records if "not notified" in record.getMessage()]
    assert line.startswith(f"not notified: {said}")
    assert "private-path" not in caplog.text
    assert all(request.is_signed() for request in server.received if webhook == "broken")


def test_subclass_sends_by_another_way() -> None:
    sent: list[str] = []

    class Mail(RedrawNotifier):
        def notify(self, context: Any) -> None:
            sent.append(self.message)

    Mail()(context(RELEASE))
    assert sent == [quote_record(context(RELEASE))]
