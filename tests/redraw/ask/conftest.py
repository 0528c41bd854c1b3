"""A real model to ask, and it published."""

from __future__ import annotations

from pathlib import Path

import pytest

from redraw.records import Release
from tests.publishing.asked_model import publish_asked_model, save_asked_model


@pytest.fixture(scope="session")
def asked_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SavedModel."""
    folder = tmp_path_factory.mktemp("asked") / "model"
    save_asked_model(folder)
    return folder


@pytest.fixture
def published(asked_model: Path, bucket: str) -> Release:
    """Its release, in a bucket of its own."""
    return publish_asked_model(asked_model, bucket)
