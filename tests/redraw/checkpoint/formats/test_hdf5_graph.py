"""The objects that stand for what Keras' HDF5 files hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redraw.checkpoint.formats.source import open_checkpoint
from redraw.checkpoint.objects.trackable import ObjectGraph


def named(path: Path) -> dict[str, tuple[str, str]]:
    """Path of attributes from the root to name and key of the variable there."""
    graph = open_checkpoint(path).graph
    assert graph is not None
    return dict(_named(graph, 0, ""))


def _named(graph: ObjectGraph, number: int, path: str) -> Any:
    for tensor in graph.nodes[number].variables():
        yield path, (tensor.full_name, tensor.key)
    for name, target in graph.nodes[number].children:
        yield from _named(graph, target, f"{path}/{name}")


@pytest.mark.parametrize("name", ["model.weights.h5", "model.keras"])
def test_graph_of_keras_3_names_layer_and_number(name: str, keras_3_files: Any) -> None:
    found = named(keras_3_files.folder / name)
    model = {path: held for path, held in found.items() if path.startswith("/model/")}
    assert model["/model/layers/dense/vars/0"] == ("hidden/0", "layers/dense/vars/0")
    assert model["/model/layers/dense_1/vars/1"] == ("answer/1", "layers/dense_1/vars/1")
    assert model["/model/layers/batch_normalization/vars/3"][0] == "norm/3"
    source = open_checkpoint(keras_3_files.folder / name)
    assert {key for _, key in found.values()} == set(source.entries)


@pytest.mark.parametrize("name", ["model.h5", "weights.h5"])
def test_graph_of_keras_2_names_variables_as_their_layers_do(name: str, keras_2_files: Any) -> None:
    found = named(keras_2_files.folder / name)
    source = open_checkpoint(keras_2_files.folder / name)
    assert {key for _, key in found.values()} == set(source.entries)
    model = {held[0]: held[1] for path, held in found.items() if path.startswith("/model/")}
    assert set(keras_2_files.values) <= set(model)
    for variable, value in keras_2_files.values.items():
        np.testing.assert_array_equal(source.read_array(model[variable]), value)
    averages = {held[0] for path, held in found.items() if path.startswith("/optimizer/_model_variables")}
    assert bool(averages) == (name == "model.h5")
    assert all("average/" in average for average in averages)
