"""The result of a stage for its task: a record, a failure, or another try.

exit 0, one JSON record on stdout        the record
`error [Name]: line`, retryable          AirflowException: Airflow's retries apply
`error [Name]: line`, any other          AirflowFailException: a retry cannot help
stopped, or killed by a signal           AirflowException that names the signal
anything else                            AirflowException with the end of the traceback
"""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Sequence
from typing import NoReturn, TypeVar

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from redraw.errors import InvalidRecord, RedrawError, error_named
from redraw.records import Record
from redraw_airflow.stages.process import FinishedStage

R = TypeVar("R", bound=Record)

_NAMED_ERROR = re.compile(r"error \[(\w+)\]: (.*)")
# A shell, or a container's runtime, reports a signal as a status above this.
_SIGNAL_STATUS = 128


class StageStopped(AirflowException):
    """A stage was stopped before it was done."""


class StageKilled(AirflowException):
    """A signal ended a stage."""


class StageCrashed(AirflowException):
    """A stage ended with an unnamed error: a bug of the definition or of Redraw."""


def read_record(finished: FinishedStage, record_type: type[R]) -> R:
    """Read the record that a stage printed, or raise the stage's error.

    Args:
        finished: How the stage ended.
        record_type: The type of record that it should print.

    Raises:
        AirflowFailException: An error that a retry cannot fix, or output that is not one record.
        AirflowException: An error that a retry may fix.
    """
    if finished.stopped:
        raise StageStopped(f"stage {finished.stage}: was stopped before it had finished.")
    if finished.returncode != 0:
        _fail(finished)
    text = finished.stdout.decode("utf-8", errors="replace").strip()
    try:
        return record_type.from_json(json.loads(text))
    except (InvalidRecord, ValueError) as err:
        excerpt = text if len(text) <= 200 else f"{text[:200]}…"
        raise AirflowFailException(
            f"stage {finished.stage}: expected one {record_type.__name__} record on standard output, got"
            f" {excerpt!r} ({err}). In the definition, print nothing on standard output; write logs to"
            " standard error."
        ) from err


def printed_record(finished: FinishedStage, record_type: type[R]) -> R | None:
    """The record that a stage printed although it may have failed; None if there is no complete one.

    Args:
        finished: How the stage ended.
        record_type: The type of record that it should print.
    """
    try:
        return record_type.from_json(json.loads(finished.stdout))
    except (InvalidRecord, ValueError):
        return None


def named_error(lines: Sequence[str]) -> tuple[type[RedrawError], str] | None:
    """The named error that a stage ended with, from the last lines of its log; None if there is none."""
    for line in reversed(lines):
        if match := _NAMED_ERROR.fullmatch(line):
            return error_named(match[1]), match[2]
    return None


def _fail(finished: FinishedStage) -> NoReturn:
    number = _signal_of(finished.returncode)
    if number is not None:
        raise StageKilled(f"stage {finished.stage}: was killed by {number.name}.{_hint(number)}")
    if error := named_error(finished.last_lines):
        kind, message = error
        raise (AirflowException if kind.retryable else AirflowFailException)(message) from kind(message)
    lines = "\n".join(finished.last_lines) or "nothing"
    raise StageCrashed(
        f"stage {finished.stage}: ended with status {finished.returncode} and no error of its own;"
        f" it last wrote:\n{lines}"
    )


def _signal_of(returncode: int) -> signal.Signals | None:
    number = -returncode if returncode < 0 else returncode - _SIGNAL_STATUS
    return signal.Signals(number) if number in signal.Signals.__members__.values() else None


def _hint(number: signal.Signals) -> str:
    if number is not signal.SIGKILL:
        return ""
    return (
        " The kernel or a container ends a process with this signal if it exceeds its memory limit: raise"
        " the worker's memory, or run fewer tasks at once."
    )
