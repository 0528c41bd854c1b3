"""Where served variables are found, in checkpoints that real programs wrote."""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.checkpoint.formats.source import open_checkpoint
from redraw.errors import CheckpointMismatch
from redraw.export.graph.drawn import Places
from redraw.export.graph.places import find_places
from redraw.export.weights.ledger import Ledger
from redraw.export.weights.mapping import map_checkpoint
from redraw.export.weights.request import WeightsRequest
from redraw.networks.modules import known_by_own_names, weights_by_name


@dataclass(frozen=True)
class Variable:
    name: str
    dtype: str
    shape: tuple[int, ...]
    trainable: bool = True


def ask(network: Any, **more: Any) -> WeightsRequest:
    variables = weights_by_name(network)
    places = find_places(network, variables)
    return WeightsRequest(
        variables=[Variable(n, v.dtype.name, tuple(v.shape)) for n, v in variables.items()],
        known_by="name" if known_by_own_names(network) else "path",
        places=Places(by_structure=places.by_structure, in_keras_files=places.in_keras_files),
        **more,
    )


def ask_for(names: Mapping[str, tuple[int, ...]], **more: Any) -> WeightsRequest:
    return WeightsRequest(
        variables=[Variable(name, "float32", shape) for name, shape in names.items()], **more
    )


def serving_network(hidden: str = "hidden", norm: str = "norm", name: str = "net") -> keras.Model:
    """The network of `keras_2_files` and `keras_3_files` without dropout, other automatic names included."""
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(3, name=hidden),
            keras.layers.BatchNormalization(name=norm),
            keras.layers.Dense(2, name="answer"),
        ],
        name=name,
    )


def assert_values(
    ledger: Ledger, path: Path, values: Mapping[str, np.ndarray], cut: Callable[[str], str]
) -> None:
    source = open_checkpoint(path)
    assert len(ledger.served) == 8
    for entry in ledger.served:
        np.testing.assert_array_equal(source.read_array(entry.key), values[cut(entry.variable)])
    named = [entry.key for entry in ledger.served] + [entry.key for entry in ledger.dropped]
    assert sorted(named) == sorted(source.entries)


def below_model(name: str) -> str:
    return name.partition("/")[2]


@pytest.mark.parametrize("name", ["ckpt", "saved_model", "model.h5", "weights.h5"])
def test_map_keras_2_file_to_keras_3_model_finds_every_weight(name: str, keras_2_files: Any) -> None:
    network = serving_network(norm="batch_normalization")
    ledger = map_checkpoint(ask(network), open_checkpoint(keras_2_files.folder / name))
    assert ledger.found_by.startswith("name")
    assert_values(ledger, keras_2_files.folder / name, keras_2_files.values, below_model)


def test_map_layer_with_weights_of_other_counters_goes_by_structure(keras_2_files: Any) -> None:
    network = serving_network(norm="batch_normalization_7")
    ledger = map_checkpoint(ask(network), open_checkpoint(keras_2_files.folder / "ckpt"))
    assert ledger.found_by == "structure"
    assert_values(
        ledger,
        keras_2_files.folder / "ckpt",
        keras_2_files.values,
        lambda n: below_model(n).replace("_7", ""),
    )


@pytest.mark.parametrize("name", ["ckpt", "model.keras", "model.weights.h5", "legacy.h5"])
@pytest.mark.parametrize("model_name", ["net", "another"])
def test_map_keras_3_file_finds_every_weight(name: str, model_name: str, keras_3_files: Any) -> None:
    network = serving_network(name=model_name)
    ledger = map_checkpoint(ask(network), open_checkpoint(keras_3_files.folder / name))
    path = keras_3_files.folder / name
    assert_values(ledger, path, keras_3_files.values, lambda n: f"net/{below_model(n)}")


def test_map_early_keras_3_file_without_layer_names_goes_by_place(keras_3_files: Any, tmp_path: Path) -> None:
    path = tmp_path / "early.weights.h5"
    shutil.copy(keras_3_files.folder / "model.weights.h5", path)
    with h5py.File(path, "r+") as file:
        file.move("layers", "_layer_checkpoint_dependencies")
        for layer in file["_layer_checkpoint_dependencies"].values():
            del layer["vars"].attrs["name"]
    ledger = map_checkpoint(ask(serving_network(hidden="unknown_then")), open_checkpoint(path))
    assert_values(ledger, path, keras_3_files.values, lambda n: n.replace("unknown_then", "hidden"))


@pytest.mark.parametrize("name", ["model.keras", "model.weights.h5"])
def test_map_layers_that_the_definition_lists_in_another_order_go_by_name(name: str, tmp_path: Path) -> None:
    def build(order: tuple[str, str]) -> keras.Model:
        x = keras.Input((3,))
        branches = {number: keras.layers.Dense(3, name=f"branch_{number}") for number in order}
        return keras.Model(x, keras.layers.Add()([branches[number](x) for number in order]))

    trained = build(("2", "1"))
    for value, layer in enumerate(("branch_1", "branch_2"), 1):
        trained.get_layer(layer).kernel.assign(np.full((3, 3), value))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras' own, of NumPy 2
        trained.save(tmp_path / name) if name.endswith("keras") else trained.save_weights(tmp_path / name)
    source = open_checkpoint(tmp_path / name)
    ledger = map_checkpoint(ask(build(("1", "2"))), source)
    values = {entry.variable: source.read_array(entry.key).flat[0] for entry in ledger.served}
    assert (values["branch_1/kernel"], values["branch_2/kernel"]) == (1, 2)
    assert ledger.found_by == "layer's name below 'model'"


def test_map_keras_3_checkpoint_of_other_counters_goes_by_structure(tmp_path: Path) -> None:
    def build(names: tuple[str, str]) -> keras.Model:
        x = hidden = keras.Input((3,))
        for name in names:
            hidden = keras.layers.Dropout(0.5)(keras.layers.Dense(3, name=name)(hidden))
        return keras.Model(x, hidden)

    trained = build(("dense_4", "dense_5"))
    trained.layers[1].kernel.assign(np.eye(3))
    tf.train.Checkpoint(model=trained).write(str(tmp_path / "ckpt"))
    source = open_checkpoint(tmp_path / "ckpt")
    ledger = map_checkpoint(ask(build(("dense", "dense_1"))), source)
    keys = {entry.variable: entry.key for entry in ledger.served}
    assert ledger.found_by == "structure below 'model'"
    np.testing.assert_array_equal(source.read_array(keys["dense/kernel"]), np.eye(3))
    np.testing.assert_array_equal(source.read_array(keys["dense_1/kernel"]), trained.layers[3].kernel)


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ("keras_2_files", "weights.h5"),
        ("keras_2_files", "ckpt"),
        ("keras_3_files", "legacy.h5"),
        ("keras_3_files", "model.weights.h5"),
    ],
)
def test_map_wrong_layer_names_is_refused(files: str, name: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(files).folder / name
    network = serving_network(hidden="features", norm="batch_normalization")
    with pytest.raises(CheckpointMismatch, match=r"'net/features/(bias|kernel)': expected its value"):
        map_checkpoint(ask(network), open_checkpoint(path))


def test_map_renamed_layer_lists_what_would_fit_and_takes_it_when_told(keras_2_files: Any) -> None:
    source = open_checkpoint(keras_2_files.folder / "weights.h5")
    network = serving_network(hidden="features", norm="batch_normalization")
    with pytest.raises(CheckpointMismatch) as refused:
        map_checkpoint(ask(network), source)
    assert "renames = (" in str(refused.value)
    assert "('net/features/kernel', 'hidden/kernel')" in str(refused.value)
    renames = ((re.compile(r"net/features/(.*)"), r"hidden/\1"), (re.compile(r"net/(.*)"), r"\1"))
    ledger = map_checkpoint(ask(network, renames=renames), source)
    assert_values(
        ledger,
        keras_2_files.folder / "weights.h5",
        keras_2_files.values,
        lambda n: below_model(n).replace("features", "hidden"),
    )


@pytest.mark.parametrize("name", ["ckpt", "model.h5"])
def test_map_averages_of_keras_2_optimizer_are_found(name: str, keras_2_files: Any) -> None:
    network = serving_network(norm="batch_normalization")
    path = keras_2_files.folder / name
    ledger = map_checkpoint(ask(network, weights="average"), open_checkpoint(path))
    values = {**keras_2_files.values, **keras_2_files.averages}
    assert len(keras_2_files.averages) == 6
    assert_values(ledger, path, values, below_model)


@pytest.mark.parametrize("name", ["ckpt", "legacy.h5"])
def test_map_averages_of_keras_3_optimizer_are_found(name: str, keras_3_files: Any) -> None:
    path = keras_3_files.folder / name
    ledger = map_checkpoint(ask(serving_network(), weights="average"), open_checkpoint(path))
    values = {**keras_3_files.values, **keras_3_files.averages}
    assert_values(ledger, path, values, str)


def write_names(path: Path, **tensors: np.ndarray) -> Path:
    with BundleWriter(path) as writer:
        for name, value in tensors.items():
            writer.add_array(name.replace("__", "/"), value)
    return path


@pytest.fixture
def tf1_checkpoint(tmp_path: Path) -> Path:
    """What TF1's Adam, an ExponentialMovingAverage and a global step leave, by TF1 itself."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        kernel = v1.get_variable("dense/kernel", [3, 2])
        moving = v1.get_variable("norm/moving_mean", [2], trainable=False)
        step = v1.train.get_or_create_global_step()
        average = v1.train.ExponentialMovingAverage(0.9, step)
        train = v1.train.AdamOptimizer().minimize(v1.reduce_sum(kernel) + v1.reduce_sum(moving), step)
        with tf.control_dependencies([train]):
            update = average.apply([kernel])
        session.run(v1.global_variables_initializer())
        session.run(update)
        v1.train.Saver().save(session, str(tmp_path / "model.ckpt"), step)
    return tmp_path / "model.ckpt-1"


def test_map_tf1_names_drops_slots_step_and_averages_by_their_rules(tf1_checkpoint: Path) -> None:
    wanted = ask_for({"dense/kernel": (3, 2), "norm/moving_mean": (2,)})
    ledger = map_checkpoint(wanted, open_checkpoint(tf1_checkpoint))
    assert [(entry.variable, entry.key) for entry in ledger.served] == [
        ("dense/kernel", "dense/kernel"),
        ("norm/moving_mean", "norm/moving_mean"),
    ]
    assert {entry.key: entry.rule for entry in ledger.dropped} == {
        "beta1_power": "optimizer",
        "beta2_power": "optimizer",
        "dense/kernel/Adam": "slot variable",
        "dense/kernel/Adam_1": "slot variable",
        "dense/kernel/ExponentialMovingAverage": "moving average",
        "global_step": "step",
    }


def test_map_tf1_averages_takes_them_and_the_raw_value_where_there_is_none(tf1_checkpoint: Path) -> None:
    wanted = ask_for({"dense/kernel": (3, 2), "norm/moving_mean": (2,)}, weights="average")
    ledger = map_checkpoint(wanted, open_checkpoint(tf1_checkpoint))
    assert [entry.key for entry in ledger.served] == [
        "dense/kernel/ExponentialMovingAverage",
        "norm/moving_mean",
    ]
    assert ("dense/kernel", "model weight") in [(entry.key, entry.rule) for entry in ledger.dropped]


def test_map_averages_where_there_are_none_says_so(tmp_path: Path) -> None:
    path = write_names(tmp_path / "ckpt", w=np.zeros(2, np.float32))
    with pytest.raises(CheckpointMismatch, match="expected average weights in the checkpoint, got none"):
        map_checkpoint(ask_for({"w": (2,)}, weights="average"), open_checkpoint(path))


class Line(tf.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.slope = tf.Variable([[value]])
        self.offset = tf.Variable([value])

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return x @ self.slope + self.offset


@pytest.mark.parametrize("shadow", ["average", "ema", "teacher"])
def test_map_shadow_model_is_served_as_average(shadow: str, tmp_path: Path) -> None:
    tf.train.Checkpoint(model=Line(1.0), **{shadow: Line(2.0)}).write(str(tmp_path / "ckpt"))
    source = open_checkpoint(tmp_path / "ckpt")
    roots: Any = {"average": "teacher"} if shadow == "teacher" else {}
    ledger = map_checkpoint(ask(Line(0.0), weights="average", roots=roots), source)
    assert [source.read_array(entry.key).item() for entry in ledger.served] == [2.0, 2.0]
    raw = map_checkpoint(ask(Line(0.0), roots=roots), source)
    assert [source.read_array(entry.key).item() for entry in raw.served] == [1.0, 1.0]
    assert [entry.rule for entry in raw.dropped if entry.key.startswith(shadow)] == ["moving average"] * 2


def test_map_two_objects_that_fit_is_refused_until_one_is_named(tmp_path: Path) -> None:
    tf.train.Checkpoint(left=Line(1.0), right=Line(2.0)).write(str(tmp_path / "ckpt"))
    source = open_checkpoint(tmp_path / "ckpt")
    with pytest.raises(
        CheckpointMismatch, match="got several: by path below 'left' and by path below 'right'"
    ):
        map_checkpoint(ask(Line(0.0)), source)
    mapped = ask(Line(0.0), roots={"raw": "right"}, training_only=["left/*"])
    assert [source.read_array(entry.key).item() for entry in map_checkpoint(mapped, source).served] == [
        2.0,
        2.0,
    ]


def test_map_weights_outside_of_the_model_are_named(tmp_path: Path) -> None:
    tf.train.Checkpoint(model=Line(1.0), head=Line(2.0)).write(str(tmp_path / "ckpt"))
    with pytest.raises(
        CheckpointMismatch, match=r"weights that the served model does not use: head/offset/.*\(2 in all\)"
    ):
        map_checkpoint(ask(Line(0.0)), open_checkpoint(tmp_path / "ckpt"))


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (np.zeros((2, 3), np.float32), r"expected float32 \[5, 7\], got float32 \[2, 3\] under 'w'"),
        (np.zeros((5, 7), np.float16), r"expected float32 \[5, 7\], got float16 \[5, 7\] under 'w'"),
    ],
)
def test_map_other_shape_or_dtype_names_both_sides(stored: np.ndarray, message: str, tmp_path: Path) -> None:
    path = write_names(tmp_path / "ckpt", w=stored)
    with pytest.raises(CheckpointMismatch, match=rf"{path}: served variable 'w': {message}"):
        map_checkpoint(ask_for({"w": (5, 7)}), open_checkpoint(path))


def test_map_two_candidates_of_one_shape_proposes_neither(tmp_path: Path) -> None:
    value = np.zeros(2, np.float32)
    path = write_names(tmp_path / "ckpt", a__bias=value, b__bias=value)
    with pytest.raises(CheckpointMismatch, match="nearest names are") as refused:
        map_checkpoint(ask_for({"c/bias": (2,)}), open_checkpoint(path))
    assert "renames = (" not in str(refused.value)


def test_map_rename_to_nothing_is_refused(tmp_path: Path) -> None:
    path = write_names(tmp_path / "ckpt", w=np.zeros(2, np.float32))
    with pytest.raises(CheckpointMismatch, match="served variable 'w': expected its value"):
        map_checkpoint(ask_for({"w": (2,)}, renames=(("w", "v"),)), open_checkpoint(path))


def test_map_unreached_and_training_only_are_dropped_by_their_rules(tmp_path: Path) -> None:
    value = np.zeros(2, np.float32)
    path = write_names(tmp_path / "ckpt", w=value, aux__w=value, idle=value)
    wanted = ask_for({"w": (2,)}, unreached=[Variable("idle", "float32", (2,))], training_only=["aux/*"])
    ledger = map_checkpoint(wanted, open_checkpoint(path))
    assert {entry.key: entry.rule for entry in ledger.dropped} == {
        "aux/w": "training only",
        "idle": "reached by no signature",
    }


@pytest.mark.parametrize(
    ("saved", "served", "found_by"),
    [
        ("net/{}/kernel", "net/{}/kernel", "name"),
        ("net/{}/kernel", "{}/kernel", "name without the model's"),
        ("{}/kernel", "net/{}/kernel", "name without the model's"),
        ("net/{}/kernel", "other/{}/kernel", "name without the model's"),
        ("net/{}/kernel:0", "{}/kernel", "name without the model's"),
        # Of names of two parts, the first is a layer's.
        ("net/kernel{}", "other/kernel{}", ""),
        # And what not all names share is no model's.
        ("{}/inner/kernel", "inner/kernel{}", ""),
    ],
)
def test_map_names_with_or_without_the_model_s(
    saved: str, served: str, found_by: str, tmp_path: Path
) -> None:
    value = np.zeros(2, np.float32)
    path = write_names(tmp_path / "ckpt", **{saved.format(layer): value for layer in ("a", "b")})
    wanted = ask_for({served.format(layer): (2,) for layer in ("a", "b")})
    if not found_by:
        with pytest.raises(CheckpointMismatch, match="expected its value in the checkpoint, got none"):
            map_checkpoint(wanted, open_checkpoint(path))
        return
    ledger = map_checkpoint(wanted, open_checkpoint(path))
    assert ledger.found_by == found_by
    assert {entry.variable: entry.key for entry in ledger.served} == {
        served.format(layer): saved.format(layer) for layer in ("a", "b")
    }


@pytest.mark.parametrize(("count", "said"), [(5, "w4 (5 in all). Add the layers"), (6, "w4 … (6 in all, ")])
def test_map_many_weights_that_nothing_takes_names_the_first_five(
    count: int, said: str, tmp_path: Path
) -> None:
    value = np.zeros(2, np.float32)
    path = write_names(tmp_path / "ckpt", served=value, **{f"w{number}": value for number in range(count)})
    with pytest.raises(CheckpointMismatch) as refused:
        map_checkpoint(ask_for({"served": (2,)}), open_checkpoint(path))
    assert f"that the served model does not use: w0, w1, w2, w3, {said}" in str(refused.value)
