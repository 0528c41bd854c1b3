from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from redraw.compat.keras import (
    every_layer,
    finish_saving,
    optimizer_averages,
    repair_async_saving,
    saved_places,
    take_gradient_sum,
)
from redraw.compat.keras_2 import saved_places_of_keras_2


@pytest.fixture
def nested() -> keras.Model:
    """A model within a model: two layers of one class, whose places need numbers."""
    inner = keras.Sequential([keras.Input([3]), keras.layers.Dense(2, name="deep")], name="inner")
    outer = keras.Input([3])
    return keras.Model(outer, keras.layers.Dense(1, name="top")(inner(outer)))


def test_every_layer_reaches_those_inside_of_layers(nested: keras.Model) -> None:
    assert {"inner", "deep", "top"} <= {layer.name for layer in every_layer(nested)}
    assert "deep" not in {layer.name for layer in nested.layers}


# Keras 3.15 turns variables into arrays by a way that NumPy 2 warns of.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_saved_places_are_those_of_the_file(nested: keras.Model, tmp_path: Path) -> None:
    places = saved_places(nested)
    values = {id(weight.value): weight.numpy() for weight in nested.weights}
    assert {id(variable) for variable in places.values()} == values.keys()
    nested.save_weights(tmp_path / "model.weights.h5")
    with h5py.File(tmp_path / "model.weights.h5") as file:
        for place, variable in places.items():
            np.testing.assert_array_equal(file[place][()], values[id(variable)])
    assert len(places) == len(values)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_saved_places_of_quantized_layers_are_those_of_the_file(mode: str, tmp_path: Path) -> None:
    x = keras.Input([4])
    y = keras.layers.Dense(4, dtype=f"{mode}_from_float32")(x)
    y = keras.layers.EinsumDense("ab,bc->ac", 4, bias_axes="c", dtype=f"{mode}_from_float32")(y)
    network = keras.Model(x, keras.layers.Dense(4, use_bias=False, dtype=f"{mode}_from_float32")(y))
    network.save_weights(tmp_path / "model.weights.h5")
    places = saved_places(network)
    with h5py.File(tmp_path / "model.weights.h5") as file:
        stored: list[str] = []
        file.visititems(lambda name, item: stored.append(name) if isinstance(item, h5py.Dataset) else None)
        found = {place for place in places if place in file}
        assert found == {name for name in stored if "optimizer" not in name}
        for place in found:
            np.testing.assert_array_equal(file[place][()], places[place].numpy())


def _subclassed(k: Any) -> Any:
    class Names(k.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.alpha, self._private, self.Upper, self.zeta = (k.layers.Dense(n) for n in (5, 7, 9, 3))

        def call(self, x: Any) -> Any:
            return self.zeta(self.alpha(self._private(self.Upper(x))))

    network = Names()
    network(np.ones((1, 4), np.float32))
    return network


def _with_lists(k: Any) -> Any:
    class Lists(k.layers.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.dense = k.layers.Dense(3)
            self._all, self.two = [k.layers.Dense(4), self.dense], [k.layers.Dense(2)]

        def call(self, x: Any) -> Any:
            return self.two[0](self.dense(self._all[0](x)))

    x = k.Input([4])
    return k.Model(x, k.layers.Dense(6)(Lists()(x)))


def _with_properties(k: Any) -> Any:
    class Property(k.layers.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self._dense = k.layers.Dense(3)

        @property
        def dense(self) -> Any:
            return self._dense

        def call(self, x: Any) -> Any:
            return self.dense(x)

    x = k.Input([4])
    return k.Model(x, k.layers.Dense(2)(Property()(x)))


def _functional_with_attributes(k: Any) -> Any:
    class Functional(k.Model):  # type: ignore[misc]
        pass

    x, first, second = k.Input([4]), k.layers.Dense(6), k.layers.Dense(5)
    network = Functional(x, second(first(x)))
    network.zebra, network.first = second, first
    return network


def _of_kinds(k: Any) -> Any:
    x = k.Input([4, 8])
    y = k.layers.MultiHeadAttention(2, 3)(x, value=x)
    y = k.layers.TimeDistributed(k.layers.Dense(6))(y)
    y = k.layers.Bidirectional(k.layers.LSTM(3, return_sequences=True))(y)
    y = k.layers.RNN([k.layers.LSTMCell(5), k.layers.GRUCell(2)])(y)
    inner = k.Sequential([k.layers.Dense(9), k.layers.Dense(7)])
    return k.Model(x, k.layers.Dense(1)(inner(y)))


@pytest.mark.filterwarnings("ignore")  # of Keras 2, of its own code
@pytest.mark.parametrize(
    "build", [_subclassed, _with_lists, _with_properties, _functional_with_attributes, _of_kinds]
)
def test_saved_places_hold_those_of_a_file_of_keras_2(build: Callable[[Any], Any], tmp_path: Path) -> None:
    theirs, places = build(tf_keras), saved_places_of_keras_2(build(keras))
    theirs.save_weights(tmp_path / "model.weights.h5")
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            shapes[name] = item.shape

    with h5py.File(tmp_path / "model.weights.h5") as file:
        file.visititems(note)
    assert len(shapes) == len(theirs.weights)
    assert {name: tuple(places[name].shape) for name in shapes if name in places} == shapes


def test_saved_places_that_mean_another_variable_in_keras_2_differ_by_version() -> None:
    shared, other = keras.layers.Dense(2), keras.layers.Dense(2)

    class Shares(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.a, self.z = [shared, other], [shared]

        def call(self, x: tf.Tensor) -> tf.Tensor:
            return self.a[1](self.z[0](x))

    network = keras.Sequential([keras.Input([2]), Shares()])
    places = saved_places(network)
    assert places["layers/shares/a/dense/vars/0"] is shared.kernel.value
    assert places["layers/shares/a/dense_1/vars/0"] is other.kernel.value
    assert not [place for place in places if "/z/" in place]
    former = saved_places_of_keras_2(network)
    assert former["layers/shares/z/dense/vars/0"] is shared.kernel.value
    assert former["layers/shares/a/dense/vars/0"] is other.kernel.value


def test_optimizer_averages_follow_what_is_trained(nested: keras.Model) -> None:
    optimizer = keras.optimizers.Adam(use_ema=True)
    optimizer.build(nested.trainable_variables)
    averages = optimizer_averages(optimizer)
    assert [average.shape for average in averages] == [v.shape for v in nested.trainable_variables]
    assert {id(average) for average in averages} <= {id(variable) for variable in optimizer.variables}


def test_take_gradient_sum_leaves_gradients_as_they_come() -> None:
    weight = keras.Variable([1.0])
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build([weight])
    called: list[object] = []
    optimizer._all_reduce_sum_gradients = lambda pairs: called.append(pairs) or list(pairs)
    summing = take_gradient_sum(optimizer)
    optimizer.apply_gradients([(tf.constant([0.25]), weight)])
    assert weight.numpy() == [0.75]
    assert not called
    assert len(summing([(tf.constant([1.0]), weight)])) == 1
    assert called


def test_apply_gradients_asks_the_hook_that_is_taken() -> None:
    """If Keras stops asking it, gradients would be summed up twice in a distributed training."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        weight = keras.Variable([1.0])
        optimizer = keras.optimizers.SGD(1.0)
        optimizer.build([weight])
    asked: list[object] = []
    optimizer._all_reduce_sum_gradients = lambda pairs: asked.append(pairs) or list(pairs)
    strategy.run(lambda: optimizer.apply_gradients([(tf.constant([0.25]), weight)]))
    assert asked


def test_repair_async_saving_saves_a_keras_variable_twice(tmp_path: Path) -> None:
    before = keras.Variable._copy_trackable_to_cpu
    try:
        repair_async_saving()
        weight = keras.Variable([1.0])
        checkpoint = tf.train.Checkpoint(weight=weight)
        options = tf.train.CheckpointOptions(enable_async=True)
        for value in (2.0, 3.0):
            weight.assign([value])
            path = checkpoint.write(str(tmp_path / f"saved-{value:.0f}"), options)
        checkpoint.sync()
        weight.assign([0.0])
        checkpoint.read(path).assert_consumed()
        assert weight.numpy() == [3.0]
    finally:
        keras.Variable._copy_trackable_to_cpu = before


def test_finish_saving_raises_what_the_last_save_met(tmp_path: Path) -> None:
    checkpoint = tf.train.Checkpoint(weight=tf.Variable([1.0]))
    finish_saving(checkpoint)
    options = tf.train.CheckpointOptions(enable_async=True)
    checkpoint.write(str(tmp_path / "saved"), options)
    finish_saving(checkpoint)
    (tmp_path / "file").touch()
    checkpoint.write(str(tmp_path / "file" / "saved"), options)
    with pytest.raises(tf.errors.OpError, match="file"):
        finish_saving(checkpoint)
    finish_saving(checkpoint)
