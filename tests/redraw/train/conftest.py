"""Trainings in processes of their own, which have TensorFlow imported when they start."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from tests.forks import ForkServer, Program
from tests.paths import IMPORT_PATH, TESTS

StartTraining = Callable[..., Program]


@pytest.fixture(scope="package")
def start_training(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartTraining]:
    """Starts `redraw train` with flags: `start_training(*flags, **environment)`.

    `replicas=True` makes two devices of the one processor.
    """
    models = {"PYTHONPATH": os.pathsep.join([IMPORT_PATH, os.fspath(TESTS)])}
    models["REDRAW_MODELS"] = "sample_models,redraw.models"
    needed = ["tests.redraw.train.training", "redraw.train.train", "redraw.train.keras_loop"]
    server = ForkServer(needed, os.environ | models, tmp_path_factory.mktemp("trainings"))

    def start(*flags: str, replicas: bool = False, **environment: str) -> Program:
        return server.start("tests.redraw.train.training:train", [replicas, *flags], environment)

    yield start
    server.close()
