"""A notifier for any callback of a DAG: it quotes the record that a task or a run ended with.

DAG(..., default_args={"on_failure_callback": RedrawNotifier(webhook="chat")})
"""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import re
from typing import Any

from airflow.sdk import BaseNotifier, Context

from redraw.errors import RedrawError, one_line, printable
from redraw.publish.events.deliver import Undelivered, post
from redraw.records import LivePointer, Record, Release, Rollout, ValidationReport, format_metrics
from redraw_airflow.compat import mask_secrets
from redraw_airflow.dags.callbacks import failure_reason
from redraw_airflow.stages.webhooks import find_webhook

_logger = logging.getLogger(__name__)

# Chats turn these into mentions or links. Names, reasons and errors must not become either.
_MARKS = re.compile(r"[<>]|(?<!\w)@(?=\w)|\](?=\()")
_PLAIN = {"<": "‹", ">": "›", "@": "@ ", "]": "] "}


class RedrawNotifier(BaseNotifier):
    """Send a line about a task or a run to a webhook, as `{"text": …}`, which Slack and many others accept.

    To send it in another way, subclass it and override `notify`: `self.message` is the rendered text there.

    Args:
        webhook: The name of an Airflow connection, or of variables `REDRAW_WEBHOOK_<NAME>_URL` and `_SECRET`,
            as for `REDRAW_WEBHOOKS`, which need not list it. The body is signed if there is a secret.
        message: The text, a template. Next to Airflow's own values it has `redraw.summary`, the line that
            `quote_record` returns, `redraw.record`, the record that the task's stage printed (JSON, or None),
            and `redraw.error`, the task's error (or None). Summary and error mention nobody. Secrets that
            Airflow masks in logs are masked. If the text renders to nothing, the summary is sent.

    Example:
        >>> notifier = RedrawNotifier(webhook="chat", message="{{ redraw.summary }} <!here>")
    """

    template_fields = ("message",)

    def __init__(self, *, webhook: str = "", message: str = "{{ redraw.summary }}") -> None:
        super().__init__()
        self.webhook = webhook
        self.message = message

    def __call__(self, *args: Any) -> None:
        """Render and send a copy, because a template is rendered in place."""
        context: Any = args[0] if len(args) == 1 else {"dag": args[0]}
        values = {**context, "redraw": _values(context)}
        BaseNotifier.__call__(copy.copy(self), values)

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """Render the text and mask its secrets, because it leaves Airflow.

        If the template fails, for example because the task has no record, or renders to nothing, the summary
        is sent instead.
        """
        try:
            super().render_template_fields(context, jinja_env)
        except Exception as err:  # a template may call anything
            _logger.warning("message: expected a template that renders, got %s", one_line(err, 300))
            self.message = ""
        has_text = self.message is not None and str(self.message).strip()
        self.message = mask_secrets(str(self.message) if has_text else quote_record(context))

    def notify(self, context: Context) -> None:
        """Send `self.message`; if the webhook refuses it, a warning in the log says why."""
        body = json.dumps({"text": self.message}, allow_nan=False).encode()
        try:
            webhook = find_webhook(self.webhook)
            about = f"{_occasion(context)}\n{self.message}"
            message_id = (
                hashlib.sha256(about.encode("utf-8", "surrogatepass")).hexdigest() if webhook.secret else None
            )
            post(webhook, body, "application/json; charset=utf-8", message_id)
        except (RedrawError, Undelivered) as err:
            _logger.warning("not notified: %s", err)


def _occasion(context: Context) -> str:
    """What ended. It tells apart two notices with the same words, such as those of two runs."""
    ti, run = context.get("ti"), context.get("dag_run")
    names = ("dag_id", "run_id", "task_id", "map_index", "try_number")
    parts = [getattr(ti, name, "") for name in names] + [getattr(run, "run_id", ""), context.get("run_id")]
    return "\n".join(str(part) for part in parts)


def quote_record(context: Context) -> str:
    """Summarize in one line what a task published, changed or found, or why it failed, or how a run ended.

    Args:
        context: What Airflow passes to a callback.

    Returns:
        The line, of printable characters; it mentions nobody in a chat.

    Example:
        >>> default_args = {"on_success_callback": lambda context: print(quote_record(context))}
    """
    return _plain(_quote(context))


def _plain(text: object) -> str:
    return _MARKS.sub(lambda mark: _PLAIN[mark[0]], printable(one_line(text)))


def _quote(context: Context) -> str:
    record = _record(context)
    if context.get("exception") is not None:
        return f"{failure_reason(context)}{_failed_checks(record)}"
    match record:
        case Release():
            live = " and made live" if any(event.kind == "live" for event in record.events) else ""
            metrics = f", {format_metrics(record.checkpoint.metrics)}" if record.checkpoint.metrics else ""
            by = record.provenance.asked_by
            return f"{record.model} {record.version} was published{live} by {by}: {record.uri}{metrics}"
        case LivePointer(events=(event, *_)):
            what = f"{event.kind} {event.label}".strip()
            why = f": {event.reason}" if event.reason else ""
            return f"{record.model} {event.version}: {what} by {event.by}{why}"
        case Rollout():
            number = len(record.servers)
            return f"{record.model} {record.version} was confirmed on {number} server{'s' * (number != 1)}"
        case ValidationReport():
            checks = len(record.checks)
            return f"{record.model}: the export {record.digest[:12]} passed validation, {checks} checks"
    return _ended(context)


def _values(context: Context) -> dict[str, Any]:
    record, error = _record(context), context.get("exception")
    return {
        "summary": quote_record(context),
        "record": None if record is None else record.to_json(),
        "error": None if error is None else _plain(error),
    }


def _record(context: Context) -> Record | None:
    record: Record | None = getattr(context.get("task"), "record", None)
    return record


def _failed_checks(record: Record | None) -> str:
    if not isinstance(record, ValidationReport):
        return ""
    failed = [check.name for check in record.checks if not check.admits]
    return f" ({', '.join(failed)})" if failed else ""


def _ended(context: Context) -> str:
    """The line of a task without a record, or of a run."""
    ti, run = context.get("ti"), context.get("dag_run")
    if ti is not None and context.get("task") is not None:
        return f"{ti.dag_id}.{ti.task_id} ended in {ti.run_id}, try {ti.try_number}"
    dag = getattr(context.get("dag"), "dag_id", "a DAG")
    name = getattr(run, "run_id", None) or context.get("run_id") or "a run"
    reason = f": {context['reason']}" if context.get("reason") else ""
    return f"{dag} ended in {name}{reason}"
