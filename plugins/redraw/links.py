"""A button on a task that leads to what it published."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

from tasks.records import Release

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

__all__ = ["ReleaseLink", "release_url"]


class ReleaseLink(BaseOperatorLink):
    """Leads from a push to its release record; the worker resolves it once the task has ended."""

    name = "Release record"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The URL, or nothing for a task that published nothing."""
        release: Any = getattr(operator, "release", None)
        return release_url(release) if isinstance(release, Release) else ""


def release_url(release: Release) -> str:
    """The URL of a release record: in Google's console, or at the local server that stands in for it."""
    bucket, _, name = release.uri.rstrip("/").removeprefix("gs://").partition("/")
    record = f"{name.rpartition('/')[0]}/releases/{release.version}.json"
    if emulator := os.environ.get("STORAGE_EMULATOR_HOST"):
        return f"{emulator.rstrip('/')}/storage/v1/b/{bucket}/o/{quote(record, safe='')}?alt=media"
    return f"https://console.cloud.google.com/storage/browser/_details/{bucket}/{quote(record)}"
