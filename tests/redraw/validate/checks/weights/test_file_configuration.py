"""Layers that a definition draws, compared with those that the checkpoint's own file describes."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from redraw.checkpoint.formats.source import open_checkpoint
from redraw.networks.layers.drawn import describe_network
from redraw.networks.layers.layer import Model
from redraw.records import Check
from redraw.validate.outcome import CannotRun
from redraw.validate.subject.subject import Subject
from tests.kits import forget_names

Compared = Callable[..., Check]


def network(activation: str = "relu", **normalized: Any) -> Any:
    forget_names()
    layers = keras.layers
    scale = layers.Normalization(name="scale", **normalized)
    if not normalized:
        scale.adapt(np.array([[0.0, 2, 4, 6], [2.0, 4, 6, 8]]))
    dense = layers.Dense(3, activation=activation, name="hidden")
    return keras.Sequential([keras.Input((4,)), scale, dense, layers.Dense(2, name="out")])


def save(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras' own, of old formats and of NumPy 2
        network().save(path)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network as a file of Keras."""
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    save(path)
    return path


@pytest.fixture
def compare(hand_made: Any, run_check: Callable[[str, Subject], Check]) -> Compared:
    """The check of a network that a definition draws, with a file or a bundle that describes no layers."""

    def compared(drawn: Any, path: Path | None = None) -> Check:
        subject = hand_made.subject()
        subject.resources.__dict__["drawn_layers"] = (
            Model(layers=()) if drawn is None else describe_network(drawn)
        )
        if path is not None:
            subject.__dict__["source"] = open_checkpoint(path)
        return run_check("file-configuration", subject)

    return compared


def with_member(saved: Path, path: Path, name: str, content: bytes) -> Path:
    """A copy of a .keras file with one other member."""
    with zipfile.ZipFile(saved) as whole, zipfile.ZipFile(path, "w") as copy:
        for member in whole.namelist():
            if member != name:
                copy.writestr(member, whole.read(member))
        copy.writestr(name, content)
    return path


MEANS = {"mean": [1.0, 3, 5, 7], "variance": [1.0, 1, 1, 1]}


@pytest.mark.parametrize(
    ("drawn", "problem"),
    [
        ({}, ""),
        (MEANS, ""),
        ({**MEANS, "mean": [1.0, 3, 5, 8]}, "scale"),
        ({"activation": "tanh"}, "hidden"),
    ],
)
def test_layers_are_compared_with_what_they_learned(
    drawn: dict[str, Any], problem: str, compare: Compared, saved: Path
) -> None:
    check = compare(network(**drawn), saved)
    assert check.status == ("failed" if problem else "passed")
    if problem:
        assert problem in check.found
    else:
        assert check.found == "4 layers compared, each the same"


def test_without_layers_on_one_side_none_is_compared(compare: Compared, saved: Path) -> None:
    nothing = "no layer compared: "
    here = compare(network())
    assert here.found == f"{nothing}this checkpoint (format tensor_bundle) does not describe its layers"
    assert compare(None, saved).found == f"{nothing}the definition has no Keras layers"
    assert here.status == "passed"


def test_names_that_another_writer_understands_otherwise_are_unclear(compare: Compared) -> None:
    check = compare(network("hard_sigmoid"))
    assert check.status == "failed"
    assert (
        "layer 'hidden' (Activation), activation: the definition uses hard_sigmoid of Keras 3" in check.found
    )


def test_files_that_only_code_reads_are_named(compare: Compared, saved: Path, tmp_path: Path) -> None:
    path = with_member(saved, tmp_path / "own.keras", "assets/hidden/words.bin", b"x")
    check = compare(network(), path)
    assert check.status == "failed"
    assert "the file has assets/hidden/words.bin, which only the layer's own code can read" in check.found


def test_configuration_that_cannot_be_read_is_no_comparison(
    compare: Compared, saved: Path, tmp_path: Path
) -> None:
    config = json.dumps({"class_name": "Sequential", "config": {"layers": 7}}).encode()
    with pytest.raises(CannotRun, match="the configuration in .* cannot be read as layers"):
        compare(network(), with_member(saved, tmp_path / "other.keras", "config.json", config))
    save(tmp_path / "cut.h5")
    with h5py.File(tmp_path / "cut.h5", "r+") as file:
        file.attrs["model_config"] = "{"
    with pytest.raises(CannotRun, match="a model's configuration in JSON"):
        compare(network(), tmp_path / "cut.h5")
