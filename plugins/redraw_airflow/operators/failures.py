"""A task that fails leaves the XCom `failure`, a `StageFailure`, for a branch, a notifier or a page."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from redraw.errors import RedrawError, one_line
from redraw.records.failure import StageFailure
from redraw_airflow.compat import is_task_timeout

FAILURE_KEY = "failure"

_logger = logging.getLogger(__name__)
_LONGEST = 16_000


@contextmanager
def keeping_failure(context: Context, stage: str, model: str) -> Iterator[None]:
    """Push the XCom `failure` if the block fails. An error of Redraw's fails the task without a retry.

    Raises:
        AirflowFailException: In place of a `RedrawError`.
    """
    try:
        yield
    except AirflowSkipException:
        raise
    except RedrawError as err:
        _push(context, stage, model, err)
        raise AirflowFailException(str(err)) from err
    except BaseException as err:
        # Neither a deferral nor an interrupt is a failure.
        if isinstance(err, Exception) or is_task_timeout(err):
            _push(context, stage, model, err)
        raise


def _push(context: Context, stage: str, model: str, err: BaseException) -> None:
    failure = StageFailure(
        model=str(model or "")[:1024],
        stage=stage,
        error=_name_of(err),
        message=one_line(err, _LONGEST),
        retryable=not isinstance(err, AirflowFailException | RedrawError),
    )
    try:
        context["ti"].xcom_push(key=FAILURE_KEY, value=failure.to_json())
    except Exception:  # the task still fails with its own error
        _logger.exception("The XCom %s could not be written.", FAILURE_KEY)


def _name_of(err: BaseException) -> str:
    """The name of Redraw's error that this error is or was raised from, or else of this error."""
    cause: BaseException | None = err
    while cause is not None and not isinstance(cause, RedrawError):
        cause = cause.__cause__
    return type(cause or err).__name__
