"""Layers that make their variables when they are first called: trained, evaluated and exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from redraw.checkpoint.formats.source import open_checkpoint
from redraw.definition import Mode, TensorSpec, TrainingPlan
from redraw.export.prepared import PreparedModel
from redraw.networks.modules import weights_by_name
from redraw.records import TrainingRun
from redraw.runs.folder import RunFolder
from redraw.train.keras_loop import Trainer
from redraw.uri import Uri
from redraw.validate.subject.network_reference import NetworkReference
from redraw.validate.subject.reference import LedgerTensors
from tests.defects.tiny import Arrays, Tiny, normal, one_signature


class Block(keras.layers.Layer):
    """Makes layers, and has Keras build them when it is called."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.first = keras.layers.Dense(3, activation="tanh", name="first")
        self.second = keras.layers.Dense(3, name="second")

    def call(self, x: Any) -> Any:
        return self.second(self.first(x))


class Whole(keras.Model):
    def __init__(self) -> None:
        super().__init__(name="whole")
        self.block, self.out = Block(name="block"), keras.layers.Dense(1, name="y")

    def call(self, x: Any) -> Any:
        return self.out(self.block(x["x"]))


class Module(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block, self.out = Block(name="block"), keras.layers.Dense(1, name="y")

    def __call__(self, x: Any) -> Any:
        return self.out(self.block(x["x"]))


def within(inner: Any) -> Any:
    x = keras.Input([4], name="x")
    return keras.Model({"x": x}, inner({"x": x}))


def sequence() -> Any:
    return keras.Sequential([keras.layers.Dense(3, activation="tanh"), keras.layers.Dense(1)])


class Tower(keras.layers.Layer):
    """Keeps its layers in a list, in a private dict with numbers for keys, and one in another's list."""

    def __init__(self, deeper: bool = True, **more: Any) -> None:
        super().__init__(**more)
        self.blocks = [keras.layers.Dense(3, activation="tanh") for _ in range(2)]
        self._rows = {7: [keras.layers.Dense(3)], "others": [Tower(deeper=False)] if deeper else []}

    def call(self, x: Any) -> Any:
        for layer in (*self.blocks, *self._rows[7], *self._rows["others"]):
            x = layer(x)
        return x


class Listed(keras.Model):
    def __init__(self) -> None:
        super().__init__(name="listed")
        self.parts = [Tower(), keras.layers.Dense(1, name="y")]

    def call(self, x: Any) -> Any:
        return self.parts[1](self.parts[0](x["x"]))


class ListedModule(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.parts = [Tower(), keras.layers.Dense(1, name="y")]

    def __call__(self, x: Any) -> Any:
        return self.parts[1](self.parts[0](x["x"]))


def stacked() -> Any:
    cells = keras.layers.StackedRNNCells([keras.layers.GRUCell(3), keras.layers.LSTMCell(2)])
    layers = [keras.layers.Reshape((2, 2)), keras.layers.RNN(cells), keras.layers.Dense(1)]
    return keras.Sequential(layers)


NETWORKS = {
    "whole": Whole,
    "module": Module,
    "within": lambda: within(Whole()),
    "sequence": sequence,
    "listed": Listed,
    "listed_within": lambda: within(Listed()),
    "listed_module": ListedModule,
    "stacked": stacked,
}


class Lazy(Tiny):
    """One network of the list."""

    signatures = one_signature({"x": TensorSpec("float32", (None, 4))}, y=TensorSpec("float32", (None, 1)))

    def rows(self, count: int) -> Arrays:
        return {"x": normal(count, 4)}

    def build(self, mode: Mode) -> Any:
        return NETWORKS[type(self).__name__]()

    def call(self, network: Any, features: Any, mode: Mode) -> Any:
        return self.call_serving(network, features)

    def call_serving(self, network: Any, inputs: Any) -> Any:
        return network(inputs["x"] if isinstance(network, keras.Sequential) else inputs)


@pytest.mark.parametrize("decay", [None, 0.5])
@pytest.mark.parametrize("name", NETWORKS)
def test_layers_that_build_themselves_late_are_trained_evaluated_and_exported(
    name: str, decay: float | None, tmp_path: Path
) -> None:
    plan = TrainingPlan(steps=2, evaluate_every=2, average_decay=decay)
    definition = type(name, (Lazy,), {"training": plan})()
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    run = TrainingRun(model="lazy", uri=Uri(tmp_path / "run"), run="r", step=0)
    trainer = Trainer(definition, folder, run)
    before = {key: v.numpy() for key, v in weights_by_name(trainer._network).items()}
    trainer.train_until(2)
    after = {key: v.numpy() for key, v in weights_by_name(trainer._network).items()}
    assert before.keys() == after.keys()
    assert len(after) >= 4
    assert any(np.any(before[key] != after[key]) for key in after)
    evaluated = weights_by_name(trainer._evaluated)
    assert all(np.array_equal(evaluated[key].numpy(), value) for key, value in after.items())
    expected = definition.call_serving(trainer._network, {"x": tf.constant(normal(5, 4))})
    (tmp_path / "out").mkdir()
    source = open_checkpoint(str(tmp_path / "run" / "checkpoints" / "ckpt-2"))
    PreparedModel(definition).write(source, "raw", tmp_path / "out", allow_non_finite=False)
    served = tf.saved_model.load(str(tmp_path / "out")).signatures["serving_default"]
    np.testing.assert_allclose(served(x=tf.constant(normal(5, 4)))["y"], expected, rtol=1e-5)
    prefix = tmp_path / "run" / "checkpoints" / "ckpt-2"
    for give in (lambda to: to.restore(prefix), lambda to: to.assign(Values(after))):
        reference = NetworkReference(definition, "raw")
        give(reference)
        asked = reference.answer("serving_default", {"x": normal(5, 4)})
        np.testing.assert_allclose(asked["y"], expected, rtol=1e-5)
        reference.close()


class Values(LedgerTensors):
    """The trained values, as a ledger's."""

    def __init__(self, values: dict[str, np.ndarray]) -> None:
        self._values = values

    def read(self, variable: str) -> np.ndarray | None:
        return self._values[variable]
