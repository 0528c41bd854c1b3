from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import fingerprint_pb2

from redraw.compat.tensorflow import (
    Slice,
    UninitializedVariable,
    build_meta_graph,
    copy_to_cpu,
    fingerprint,
    follow,
    is_reference,
    is_trackable,
    mark_slice,
    operation_definition,
    partitions,
    saved_slice,
    scratch_graph,
)


def test_uninitialized_variable_has_a_shape_and_no_value() -> None:
    variable = UninitializedVariable(shape=[1 << 40], dtype=tf.float32, name="huge", trainable=True)
    assert isinstance(variable, tf.Variable)
    assert (variable.shape, variable.dtype, variable.trainable) == ([1 << 40], tf.float32, True)
    assert variable.handle.dtype == tf.resource


def test_follow_list_of_a_keras_layer_is_in_its_checkpoints(tmp_path: Path) -> None:
    layer, inner = keras.layers.Layer(), keras.layers.Dense(1)
    layer.parts = [{"a": inner}]
    inner.build((None, 2))
    layer.build((None, 2))
    for _ in range(2):  # as often as one likes
        follow(layer, "parts", [{"a": inner}])
    tf.train.Checkpoint(layer=layer).write(str(tmp_path / "written"))
    names = [name for name, _ in tf.train.list_variables(str(tmp_path / "written"))]
    assert any(name.startswith("layer/parts/0/a/") for name in names)


def test_saved_slice_of_each_part_says_where_it_belongs() -> None:
    with tf.Graph().as_default():
        cutter = tf.compat.v1.fixed_size_partitioner(2)
        whole = tf.compat.v1.get_variable("cut", [5, 3], partitioner=cutter)
        parts = [saved_slice(part) for part in whole]
        alone = tf.compat.v1.get_variable("alone", [2])
        assert partitions(whole) == [2, 1]
        assert partitions(alone) is None
    assert saved_slice(alone) is None
    assert [(p.full_name, p.full_shape, p.offset, p.shape) for p in parts if p] == [
        ("cut", (5, 3), (0, 0), (3, 3)),
        ("cut", (5, 3), (3, 0), (2, 3)),
    ]


def test_is_reference_tells_tf1_variables_apart() -> None:
    with tf.Graph().as_default():
        old = tf.compat.v1.get_variable("old", [1], use_resource=False)
        new = tf.compat.v1.get_variable("new", [1], use_resource=True)
        assert is_reference(old.op.outputs[0].dtype)
        assert not is_reference(new.op.outputs[0].dtype)


def test_scratch_graph_takes_tensors_from_outside_and_computes_nothing() -> None:
    outside = tf.constant([1.0, 2.0])
    with scratch_graph("scratch"):
        inside = tf.convert_to_tensor(outside * 2)
    assert tf.is_symbolic_tensor(inside)
    assert inside.shape == [2]


def test_build_meta_graph_has_the_signatures_and_assets_and_writes_no_file(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("one\ntwo\n")
    root = tf.Module()
    root.weight = tf.Variable(2.0)
    root.asset = tf.saved_model.Asset(str(words))
    root.serve = tf.function(lambda x: {"y": x * root.weight})
    function = root.serve.get_concrete_function(tf.TensorSpec([None], tf.float32, name="x"))
    meta_graph, assets = build_meta_graph(root, {"serving_default": function}, tf.saved_model.SaveOptions())
    assert set(meta_graph.signature_def) == {"serving_default", "__saved_model_init_op"}
    assert meta_graph.signature_def["serving_default"].inputs["x"].dtype == tf.float32.as_datatype_enum
    assert [tf.compat.as_str(name) for name in assets] == ["words.txt"]
    assert meta_graph.saver_def.save_tensor_name
    assert [path.name for path in tmp_path.iterdir()] == ["words.txt"]


def test_fingerprint_is_the_one_that_tensorflow_writes(tmp_path: Path) -> None:
    root = tf.Module()
    root.weight = tf.Variable(2.0)
    tf.saved_model.save(root, str(tmp_path))
    written = fingerprint_pb2.FingerprintDef.FromString((tmp_path / "fingerprint.pb").read_bytes())
    made = fingerprint_pb2.FingerprintDef.FromString(fingerprint(tmp_path))
    for message in (written, made):
        message.ClearField("uuid")
    assert made == written
    assert made.graph_def_program_hash


def test_is_trackable_tells_what_tensorflow_saves() -> None:
    assert is_trackable(tf.Module())
    assert not is_trackable(lambda x: x)


class ByIdentity(dict[Any, Any]):
    """A dictionary of what has no hash, as TensorFlow hands one to its hook."""

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(id(key), value)

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(id(key))

    def __contains__(self, key: object) -> bool:
        return super().__contains__(id(key))


def test_copy_to_cpu_copies_the_value() -> None:
    variable = tf.Variable([1.0, 2.0])
    copies = ByIdentity()
    copy = copy_to_cpu(variable, copies)
    variable.assign([3.0, 4.0])
    copy_to_cpu(variable, copies)
    assert copy is not variable
    np.testing.assert_array_equal(copy.numpy(), [3.0, 4.0])


def test_mark_slice_makes_a_variable_the_part_of_a_whole() -> None:
    part = Slice(full_name="cut", full_shape=(5, 3), offset=(3, 0), shape=(2, 3))
    with tf.Graph().as_default():
        variable = tf.compat.v1.get_variable("cut/part_1", [2, 3])
        mark_slice(variable, part)
        saver = tf.compat.v1.train.Saver([variable])
        assert saved_slice(variable) == part
        graph = tf.compat.v1.get_default_graph().as_graph_def()
    slices = next(node for node in graph.node if node.name == "save/SaveV2/shape_and_slices")
    assert saver.as_saver_def().save_tensor_name
    assert list(slices.attr["value"].tensor.string_val) == [b"5 3 3,2:0,3"]


def test_operation_definition_knows_operations_and_nothing_else() -> None:
    found = operation_definition("MatMul")
    assert found is not None
    assert [argument.name for argument in found.input_arg] == ["a", "b"]
    assert operation_definition("NoSuchOperation") is None
