"""Averages that belong to no weight, and weights without an average."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.checkpoint.formats.source import open_checkpoint
from redraw.errors import CheckpointMismatch
from redraw.export.graph.drawn import DrawnVariable
from redraw.export.weights.mapping import map_checkpoint
from redraw.export.weights.request import WeightsRequest

EMA = "/ExponentialMovingAverage"
Written = Callable[..., WeightsRequest]


def variable(name: str, *, trainable: bool = True) -> DrawnVariable:
    return DrawnVariable(name=name, key=name, dtype="float32", shape=(2,), trainable=trainable)


VARIABLES = [variable("body/w"), variable("head/w"), variable("norm/mean", trainable=False)]


def write(folder: Path, *averages: str) -> Path:
    prefix = folder / "model.ckpt"
    with BundleWriter(prefix, durable=False) as writer:
        for name in sorted([*(v.name for v in VARIABLES), *averages]):
            writer.add_array(name, np.zeros(2, np.float32))
    return prefix


@pytest.mark.parametrize("scope", ["head/head/w", "training/head/w", "hed/w"])
def test_map_average_of_no_weight_is_refused_with_the_nearest(scope: str, tmp_path: Path) -> None:
    prefix = write(tmp_path, f"body/w{EMA}", f"{scope}{EMA}")
    with pytest.raises(
        CheckpointMismatch, match=f"average '{scope}{EMA}'.*nearest weight without an average: head/w"
    ):
        map_checkpoint(WeightsRequest(variables=VARIABLES, weights="average"), open_checkpoint(prefix))
    raw = map_checkpoint(WeightsRequest(variables=VARIABLES), open_checkpoint(prefix))
    assert [entry.key for entry in raw.served] == [v.name for v in VARIABLES]


def test_map_average_between_counted_weights_names_none(tmp_path: Path) -> None:
    towers = [variable(f"tower_{number}/w") for number in (1, 2, 4)]
    with BundleWriter(tmp_path / "model.ckpt", durable=False) as writer:
        for name in sorted([*(tower.name for tower in towers), f"tower_1/w{EMA}", f"tower_3/w{EMA}"]):
            writer.add_array(name, np.zeros(2, np.float32))
    with pytest.raises(CheckpointMismatch, match="nearest weight without an average: none that is certain"):
        map_checkpoint(
            WeightsRequest(variables=towers, weights="average"), open_checkpoint(tmp_path / "model.ckpt")
        )


def test_map_average_that_a_rename_gives_to_its_weight_is_served(tmp_path: Path) -> None:
    prefix = write(tmp_path, f"body/w{EMA}", f"head/head/w{EMA}")
    wanted = WeightsRequest(
        variables=VARIABLES, weights="average", renames=(("head/w", f"head/head/w{EMA}"),)
    )
    ledger = map_checkpoint(wanted, open_checkpoint(prefix))
    assert [entry.key for entry in ledger.served] == [f"body/w{EMA}", f"head/head/w{EMA}", "norm/mean"]
    assert not ledger.without_average


def test_map_trained_weight_without_an_average_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prefix = write(tmp_path, f"body/w{EMA}")
    ledger = map_checkpoint(WeightsRequest(variables=VARIABLES, weights="average"), open_checkpoint(prefix))
    assert ledger.without_average == ("head/w",)
    assert json.loads(ledger.to_bytes())["without_average"] == ["head/w"]
    assert "no average of them: head/w" in caplog.text
