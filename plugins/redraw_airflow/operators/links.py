"""Buttons on a task that open its results: its version's page, its objects, its curves.

The worker makes the links when the task ends, from the record that its stage returned.
"""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from airflow.sdk import BaseOperator, BaseOperatorLink
from airflow.sdk.types import TaskInstanceKey

from redraw.records import Checkpoint, LivePointer, Record, Release, Rollout, TrainingRun
from redraw.records.results import AnswerComparison
from redraw_airflow.compat import airflow_configuration
from redraw_airflow.settings import TENSORBOARD
from redraw_airflow.urls import folder_url, framed_place, object_url, version_place


class VersionLink(BaseOperatorLink):
    """Opens the page of the version that was published, compared, marked, made live or rolled out."""

    name = "Version"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The URL; empty if the task has no version."""
        record = _record_of(operator)
        if isinstance(record, Release | Rollout | AnswerComparison) and record.version is not None:
            return version_url(record.model, record.version)
        if isinstance(record, LivePointer):
            argument = str(getattr(operator, "version", None) or "")
            version = int(argument) if argument.isdecimal() else record.version
            return "" if version is None else version_url(record.model, version)
        return ""


class ReleaseLink(BaseOperatorLink):
    """Opens the release record of a push."""

    name = "Release record"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The URL; empty if the task published nothing."""
        record = _record_of(operator)
        return release_url(record) if isinstance(record, Release) else ""


class CheckpointLink(BaseOperatorLink):
    """Opens the checkpoint's folder in the catalogue."""

    name = "Checkpoint"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The URL; empty if the catalogue is a folder of the workers."""
        record = _record_of(operator)
        return folder_url(record.uri) if isinstance(record, Checkpoint) else ""


class TensorBoardLink(BaseOperatorLink):
    """Opens the curves of a training, if `REDRAW_TENSORBOARD` is set."""

    name = "TensorBoard"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The URL; empty if none is configured."""
        record = _record_of(operator)
        if not isinstance(record, TrainingRun):
            return ""
        return tensorboard_url(record.model, record.run, record.uri)


def version_url(model: str, version: int) -> str:
    """The URL of a version's page inside Airflow's own: a path, so that it works under any host name."""
    base: str = airflow_configuration().get("api", "base_url", fallback="")
    return urlsplit(base).path.rstrip("/") + framed_place(version_place(model, version))


def release_url(release: Release) -> str:
    """The URL of a release record in Google's console; empty if it is not in a bucket of Google's."""
    return object_url(release.uri.parent / "releases" / f"{release.version}.json")


def tensorboard_url(model: str, run: str, uri: str) -> str:
    """The URL of a training's curves.

    Returns:
        `REDRAW_TENSORBOARD` with `{model}`, `{run}` and `{uri}` filled in, such as
        `https://board.example/?regexInput={run}#timeseries`; empty if it is not set.
    """
    url = TENSORBOARD.read() or ""
    for name, value in {"model": model, "run": run, "uri": uri}.items():
        url = url.replace(f"{{{name}}}", quote(value, safe=""))
    return url


def _record_of(operator: BaseOperator) -> Record | None:
    record: Record | None = getattr(operator, "record", None)
    return record
