"""The storage server of the embedded default, as those reach it who have its token."""

from __future__ import annotations

import pytest

from redraw_airflow.standalone.settings import Settings, read_token

__all__ = ["reach_storage"]


def reach_storage(patch: pytest.MonkeyPatch, settings: Settings) -> None:
    """Let this process, and those that it starts, work with the instance's buckets."""
    patch.setenv("STORAGE_EMULATOR_HOST", settings.gcs_url)
    patch.setenv("REDRAW_STORAGE_TOKEN", read_token(settings))
