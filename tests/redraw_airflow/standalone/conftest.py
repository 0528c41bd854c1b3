"""What a program of the embedded default needs when a test starts it."""

from __future__ import annotations

import pytest

from tests.paths import IMPORT_PATH


@pytest.fixture(scope="session")
def import_path() -> dict[str, str]:
    """The environment variable with which `python -m redraw_airflow.standalone` is found."""
    return {"PYTHONPATH": IMPORT_PATH}
