"""Why a task failed, in one line that fits into a message.

A DAG's `on_failure_callback` gets Airflow's context. A notifier of any provider can send the line as its
text.
"""

from __future__ import annotations

import logging

from airflow.sdk import Context

from redraw.errors import one_line, printable

_logger = logging.getLogger(__name__)
_LONGEST = 400


def failure_reason(context: Context) -> str:
    """One line: which task of which run, of which model, in which try, and what it failed with.

    Args:
        context: What Airflow passes to an `on_failure_callback`.

    Returns:
        The line, of at most 400 characters.

    Example:
        >>> def say(context):
        ...     print(failure_reason(context))
        >>> default_args = {"on_failure_callback": say}
    """
    ti, task = context["ti"], context.get("task")
    model = getattr(task, "model", None)
    model_text = f" ({model})" if isinstance(model, str) else ""
    text = str(context.get("exception") or "ended without a message").strip()
    summary = printable(one_line(text.partition("\n")[0]))
    line = f"{ti.dag_id}.{ti.task_id}{model_text} failed in {ti.run_id}, try {ti.try_number}: {summary}"
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def announce_failure(context: Context) -> None:
    """Log the line of `failure_reason` as an error of the logger `redraw_airflow.dags.callbacks`.

    Args:
        context: What Airflow passes to an `on_failure_callback`.

    Example:
        >>> default_args = {"on_failure_callback": announce_failure}
    """
    _logger.error("%s", failure_reason(context))
