from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redraw.checkpoint.bundle.messages import TrackableObjectGraph
from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.checkpoint.objects.object_graph import read_object_graph, variables_by_path, variables_from
from redraw.checkpoint.objects.roles import Role, classify_tensors
from redraw.checkpoint.objects.trackable import ObjectGraph
from redraw.errors import CheckpointCorrupt

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


def keys_by_name(graph: ObjectGraph | None, child: str) -> dict[str, str]:
    assert graph is not None
    start = graph.child(0, child)
    assert start is not None
    return {tensor.full_name: tensor.key for _, tensor in variables_from(graph, start)}


@pytest.mark.parametrize("child", ["model", "average"])
def test_find_variables_of_a_keras_model_gives_every_value(trained: Mapping[str, Any], child: str) -> None:
    bundle = TensorBundle(trained["prefix"])
    keys = keys_by_name(read_object_graph(bundle), child)
    weights = {v.path: v.numpy() for v in trained[child].variables if "seed_generator" not in v.path}
    assert keys.keys() == weights.keys()
    assert len(keys) == 8
    for name, value in weights.items():
        np.testing.assert_array_equal(bundle.read_array(keys[name]), value)


def test_find_variables_that_the_optimizer_owns_gives_its_keys(trained: Mapping[str, Any]) -> None:
    graph = read_object_graph(TensorBundle(trained["prefix"]))
    keys = keys_by_name(graph, "model")
    (kernel,) = [key for name, key in keys.items() if name.endswith("hidden/kernel")]
    assert kernel == "optimizer/_trainable_variables/0/.ATTRIBUTES/VARIABLE_VALUE"
    assert keys_by_name(graph, "average").keys() == keys.keys()
    assert not set(keys_by_name(graph, "average").values()) & set(keys.values())


def test_classify_tensors_of_a_training_gives_each_role(trained: Mapping[str, Any]) -> None:
    bundle = TensorBundle(trained["prefix"])
    roles = classify_tensors(bundle.entries, read_object_graph(bundle))
    assert roles.keys() == bundle.entries.keys()
    assert Counter(roles.values()) == {
        Role.MODEL_WEIGHT: 8,
        Role.MOVING_AVERAGE: 8,
        Role.SLOT_VARIABLE: 12,
        Role.OPTIMIZER: 2,
        Role.STEP: 1,
        Role.RANDOM_SEED: 1,
        Role.OBJECT_GRAPH: 1,
    }
    assert roles["noise/_state_var/.ATTRIBUTES/VARIABLE_VALUE"] is Role.RANDOM_SEED
    weights = set(keys_by_name(read_object_graph(bundle), "model").values())
    assert {key for key, role in roles.items() if role is Role.MODEL_WEIGHT} == weights


def test_classify_tensors_of_an_optimizers_average_gives_moving_average(tf: Any, tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(momentum=0.9, use_ema=True)
    optimizer.build(model.trainable_variables)
    checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer)
    bundle = TensorBundle(Path(checkpoint.save(str(tmp_path / "ckpt"))))
    roles = Counter(classify_tensors(bundle.entries, read_object_graph(bundle)).values())
    assert (roles[Role.MOVING_AVERAGE], roles[Role.SLOT_VARIABLE], roles[Role.MODEL_WEIGHT]) == (2, 2, 2)
    # The counter of saves, which save() adds and write() does not.
    assert roles[Role.OTHER] == 1


def test_classify_slot_variables_by_the_graph_gives_their_role(tf: Any, tmp_path: Path) -> None:
    """An optimizer of TF1 lists its slot variables in the object graph."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        weight = tf.compat.v1.get_variable("w", initializer=np.array([1, 2], np.float32), use_resource=True)
        optimizer = tf.compat.v1.train.MomentumOptimizer(0.1, 0.9)
        optimizer.minimize(tf.reduce_sum(weight**2), var_list=[weight])
        module = tf.Module()
        module.weight = weight
        checkpoint = tf.compat.v1.train.Checkpoint(net=module, trainer=optimizer)
        session.run(tf.compat.v1.global_variables_initializer())
        prefix = checkpoint.write(str(tmp_path / "ckpt"), session=session)
    bundle = TensorBundle(Path(prefix))
    roles = classify_tensors(bundle.entries, read_object_graph(bundle))
    found = {key.partition("/.ATTRIBUTES")[0]: role for key, role in roles.items() if key != GRAPH}
    assert found == {
        "net/weight": Role.MODEL_WEIGHT,
        "net/weight/.OPTIMIZER_SLOT/trainer/momentum": Role.SLOT_VARIABLE,
    }


def test_classify_tensors_without_a_graph_goes_by_name(tmp_path: Path) -> None:
    expected = {
        "conv/kernel": Role.MODEL_WEIGHT,
        "conv/kernel/Adam": Role.SLOT_VARIABLE,
        "conv/kernel/Adam_1": Role.SLOT_VARIABLE,
        "conv/kernel/ExponentialMovingAverage": Role.MOVING_AVERAGE,
        "tower/Adam": Role.MODEL_WEIGHT,
        "beta1_power": Role.OPTIMIZER,
        "global_step": Role.STEP,
    }
    with BundleWriter(tmp_path / "ckpt") as writer:
        for key in expected:
            writer.add_array(key, np.float32(0))
    bundle = TensorBundle(tmp_path / "ckpt")
    assert read_object_graph(bundle) is None
    assert classify_tensors(bundle.entries, None) == expected
    assert variables_by_path(None, "model") == {}


def module_with(tf: Any, *names: str) -> Any:
    module = tf.Module()
    module.layers = [tf.Module() for _ in names]
    for number, name in enumerate(names):
        module.layers[number].kernel = tf.Variable(np.array([number], np.float32), name=name)
    return module


def test_find_variables_of_a_module_by_path_gives_every_value(tf: Any, tmp_path: Path) -> None:
    module = module_with(tf, "w", "w", "w")
    module.shared = module.layers[1].kernel
    prefix = tf.train.Checkpoint(model=module, other=tf.Variable(1.0)).write(str(tmp_path / "ckpt"))
    bundle = TensorBundle(Path(prefix))
    keys = variables_by_path(read_object_graph(bundle), "model")
    assert {path: bundle.read_array(key).tolist() for path, key in keys.items()} == {
        "shared": [1],
        "layers/0/kernel": [0],
        "layers/1/kernel": [1],
        "layers/2/kernel": [2],
    }
    assert keys["shared"] == keys["layers/1/kernel"]


def test_find_variables_below_an_absent_object_gives_none(trained: Mapping[str, Any]) -> None:
    graph = read_object_graph(TensorBundle(trained["prefix"]))
    assert variables_by_path(graph, "teacher") == {}


def link_beyond(graph: Any) -> None:
    graph.nodes.add().children.add(node_id=9, local_name=b"x")


def slot_beyond(graph: Any) -> None:
    graph.nodes.add().slot_variables.add(slot_variable_node_id=-1)


@pytest.mark.parametrize("change", [link_beyond, slot_beyond])
def test_read_graph_that_leads_nowhere_fails(tmp_path: Path, change: Callable[[Any], None]) -> None:
    graph = TrackableObjectGraph()
    change(graph)
    with BundleWriter(tmp_path / "ckpt") as writer:
        writer.add_array(GRAPH, np.array(graph.SerializeToString(), object))
    with pytest.raises(CheckpointCorrupt, match=f"{GRAPH}.*an object number from 0 to 0, got"):
        read_object_graph(TensorBundle(tmp_path / "ckpt"))


@pytest.mark.parametrize("value", [np.float32(1), np.array([b"", b""], object), np.array(b"\xff", object)])
def test_read_graph_that_is_none_fails(tmp_path: Path, value: np.ndarray) -> None:
    with BundleWriter(tmp_path / "ckpt") as writer:
        writer.add_array(GRAPH, value)
    with pytest.raises(CheckpointCorrupt, match=GRAPH):
        read_object_graph(TensorBundle(tmp_path / "ckpt"))


def test_find_variables_in_a_cycle_ends(tf: Any, tmp_path: Path) -> None:
    module = module_with(tf, "w")
    module.layers[0].parent = module
    prefix = tf.train.Checkpoint(model=module).write(str(tmp_path / "ckpt"))
    graph = read_object_graph(TensorBundle(Path(prefix)))
    assert list(variables_by_path(graph, "model")) == ["layers/0/kernel"]
