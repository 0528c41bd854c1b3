"""Which Keras wrote a checkpoint."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import tensorflow as tf

from redraw.checkpoint.formats.source import CheckpointSource, open_checkpoint
from redraw.checkpoint.formats.writer import Writer, find_writer
from tests.redraw.checkpoint.objects.trees import Tree, graph_of, variable


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("lstm/recurrent_kernel", True),
        ("encoder/lstm/recurrent_kernel", True),
        # A scope of the model's that is called as cells are says nothing.
        ("cells/lstm/recurrent_kernel", True),
        ("lstm/lstm_cell/recurrent_kernel", False),
        ("bidirectional/forward_lstm/lstm_cell_1/recurrent_kernel", False),
        ("lstm/kernel", False),
        ("recurrent_kernel", False),
    ],
)
def test_cells_without_a_name_of_their_own_may_be_of_the_first_keras(
    tmp_path: Path, name: str, first: bool
) -> None:
    prefix = tf.train.Checkpoint(weight=tf.Variable([1.0], name=name)).save(str(tmp_path / "model"))
    writer = find_writer(open_checkpoint(Path(prefix)))
    assert (writer.first_gates, writer.keras_3, writer.keras_2) == (first, False, False)


@pytest.mark.parametrize(
    ("version", "writer"),
    [
        ("3.15.1", Writer(keras_3=True)),
        ("2.15.0", Writer(keras_3=False, keras_2=True)),
        ("2.3.1", Writer(keras_3=False, keras_2=True)),
        ("2.2.4-tf", Writer(keras_3=False, keras_2=True, first_gates=True)),
        ("1.2.2", Writer(keras_3=False, first_gates=True)),
        ("13.0", Writer(keras_3=False)),
        (None, Writer(keras_3=False)),
    ],
)
def test_writer_of_a_file_with_a_version_is_that_one(version: str | None, writer: Writer) -> None:
    archive = SimpleNamespace(format="keras", keras_version=version)
    attributes = {"keras_version": None if version is None else version.encode()}
    hdf5 = SimpleNamespace(format="keras_h5", attribute=attributes.get)
    for source in (archive, hdf5):
        assert find_writer(cast("CheckpointSource", source)) == writer


@pytest.mark.parametrize(
    ("file", "tree", "keras_3"),
    [
        ("keras_weights", {"layers": {"a": variable("a", "vars/0"), "b": variable("b", "vars/1")}}, False),
        ("keras_weights", {"layers": {"a": variable("a", "vars/0"), "b": variable("b", "dense/0")}}, True),
        ("tensor_bundle", {"a": {"_operations": {}}}, True),
        ("tensor_bundle", {"a": {"_my_operations": {}, "operations": {}, "_kernels": {}}}, False),
    ],
)
def test_writer_of_a_file_without_a_version_is_by_its_objects(file: str, tree: Tree, keras_3: bool) -> None:
    source = cast("CheckpointSource", SimpleNamespace(format=file, graph=graph_of(tree)))
    assert find_writer(source) == Writer(keras_3=keras_3)


@pytest.mark.parametrize("file", ["tensor_bundle", "saver_v1"])
def test_writer_of_a_checkpoint_of_names_may_be_the_first_keras(file: str) -> None:
    source = cast("CheckpointSource", SimpleNamespace(format=file, graph=None))
    assert find_writer(source) == Writer(keras_3=False, first_gates=True)
