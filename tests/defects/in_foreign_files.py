"""Defects that only a foreign file can tell: its layers answer otherwise than the definition's."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from redraw.definition import GraphFunctionDefinition, Mode, TensorSpec
from tests.defects.bases import Bases, export_definition
from tests.defects.planting import Defect, Specimen, planted
from tests.defects.tiny import Arrays, Tiny, normal, one_signature

__all__ = ["DEFECTS", "GOOD", "Layers", "ends", "foreign_file", "planted_in_file"]

Layers = Callable[[Any], Sequence[Any]]

v1 = tf.compat.v1


class Foreign(Tiny):
    """A chain of layers, as a definition draws it."""

    layers: Layers
    words = False

    @property
    def signatures(self) -> Any:  # type: ignore[override]
        x = TensorSpec("string", (None,)) if self.words else TensorSpec("float32", (None, 6, 3))
        return one_signature({"x": x}, y=TensorSpec("float32", (None, 2 if self.words else 1)))

    def rows(self, count: int) -> Arrays:
        words = np.array([b"red", b"green", b"blue", b"none"] * count, object)[:count]
        return {"x": words if self.words else normal(count, 6, 3)}

    def build(self, mode: Mode) -> Any:
        return chain(keras, type(self).layers(keras), words=self.words)


@functools.cache
def drawing(layers: Layers, *, words: bool) -> Foreign:
    """The definition that draws these layers: one for the files of all formats, so that it is drawn once."""
    return type("Foreign", (Foreign,), {"layers": staticmethod(layers), "words": words})()


def chain(kit: Any, layers: Sequence[Any], *, words: bool = False) -> Any:
    """A model of layers, one after the other."""
    x = kit.Input((), dtype="string", name="x") if words else kit.Input((6, 3), name="x")
    y = x
    for layer in layers:
        y = layer(y)
    return kit.Model({"x": x}, y)


def foreign_file(bases: Bases, file: str, theirs: Layers, ours: Layers, *, words: bool = False) -> Specimen:
    """A file of Keras 3 or 2, exported with a definition of its own."""
    folder = bases.new_folder("foreign")
    folder.mkdir(parents=True)
    kit = tf_keras if file.startswith(".keras-2") else keras
    network = chain(kit, theirs(kit), words=words)
    rng = np.random.default_rng(3)
    network.set_weights(
        [rng.uniform(0.2, 0.8, weight.shape).astype(weight.dtype) for weight in network.get_weights()]
    )
    path = folder / f"saved{file.removeprefix('.keras-2')}"
    more = {"max_shard_size": 1e-6} if file.endswith(".json") else {}
    (network.save_weights if "weights" in file else network.save)(str(path), **more)
    definition = drawing(ours, words=words)
    exported = export_definition(definition, str(path), folder / "model", model="foreign")
    return Specimen(exported=exported, definition=definition)


def ends(kit: Any) -> list[Any]:
    """The last layers of a chain that answers one number."""
    return [kit.layers.GlobalAveragePooling1D(), kit.layers.Dense(1, name="y")]


_CHAINS: dict[str, tuple[str, Layers, Layers]] = {
    "activation-of-the-file": (
        "A layer answers with tanh where it was trained with relu.",
        lambda k: [k.layers.Dense(4, activation="relu", name="d"), *ends(k)],
        lambda k: [k.layers.Dense(4, activation="tanh", name="d"), *ends(k)],
    ),
    "epsilon-of-the-file": (
        "Normalization divides by another number.",
        lambda k: [k.layers.BatchNormalization(epsilon=0.5, name="bn"), *ends(k)],
        lambda k: [k.layers.BatchNormalization(name="bn"), *ends(k)],
    ),
    "slope-of-the-file": (
        "Negative values pass with another slope.",
        lambda k: [k.layers.Dense(4, name="d"), k.layers.LeakyReLU(0.9), *ends(k)],
        lambda k: [k.layers.Dense(4, name="d"), k.layers.LeakyReLU(0.1), *ends(k)],
    ),
    "order-of-the-file": (
        "Two layers have changed places.",
        lambda k: [
            k.layers.Dense(4, name="d"),
            k.layers.BatchNormalization(name="bn"),
            k.layers.ReLU(),
            *ends(k),
        ],
        lambda k: [
            k.layers.Dense(4, name="d"),
            k.layers.ReLU(),
            k.layers.BatchNormalization(name="bn"),
            *ends(k),
        ],
    ),
    "missing-layer-of-the-file": (
        "What the file scales is served as it comes.",
        lambda k: [k.layers.Rescaling(1 / 255, name="s"), *ends(k)],
        lambda k: [*ends(k)],
    ),
    "stride-of-the-file": (
        "A convolution looks at other places.",
        lambda k: [k.layers.Conv1D(4, 2, strides=2, name="c"), *ends(k)],
        lambda k: [k.layers.Conv1D(4, 2, name="c"), *ends(k)],
    ),
    "gate-of-the-file": (
        "A gate opens by another function.",
        lambda k: [
            k.layers.LSTM(4, recurrent_activation="hard_sigmoid", name="l"),
            k.layers.Dense(1, name="y"),
        ],
        lambda k: [k.layers.LSTM(4, name="l"), k.layers.Dense(1, name="y")],
    ),
}
_FILES = (".keras", ".h5", ".keras-2.h5")


def planted_in_file(name: str, about: str, *parts: Any, **more: Any) -> Defect:
    """A defect that only the file can tell: how it is named, what it does, and `foreign_file`'s arguments."""

    def plant(bases: Bases) -> Specimen:
        return foreign_file(bases, *parts, **more)

    return Defect(name=name, base="foreign", caught_by="file-configuration", in_production=about, plant=plant)


class TableGraph(GraphFunctionDefinition, Tiny):
    """Looks words up in a table of its own, where the checkpoint has one that was filled while training."""

    signatures = one_signature({"x": TensorSpec("string", (None,))}, y=TensorSpec("float32", (None, 1)))
    training_only = ("words-*",)

    def rows(self, count: int) -> Arrays:
        return {"x": np.array([b"red", b"green"] * count, object)[:count]}

    def graph(self, mode: Mode, features: Any) -> Any:
        filling = tf.lookup.KeyValueTensorInitializer(["green", "red"], tf.constant([1, 2], tf.int64))
        rows = tf.lookup.StaticHashTable(filling, 0).lookup(features["x"])
        return tf.gather(v1.get_variable("vectors", [3, 1]), rows)


class FileGraph(TableGraph):
    """As `TableGraph`, with the words in a file next to the definition."""

    words_file: Path

    def graph(self, mode: Mode, features: Any) -> Any:
        line, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
        filling = tf.lookup.TextFileInitializer(str(self.words_file), tf.string, line, tf.int64, number)
        rows = tf.lookup.StaticHashTable(filling, 0).lookup(features["x"])
        return tf.gather(v1.get_variable("vectors", [3, 1]), rows)


def _with_file(bases: Bases, *words: str) -> Specimen:
    """A table from a file of these words, where training had `green` in row 1 and `red` in row 2."""
    path = bases.new_folder("words").with_suffix(".txt")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(words) + "\n")
    kind = type(f"FileGraph{words[1].title()}", (FileGraph,), {"words_file": path})
    return _with_table(bases, "black", "green", "red", definition=kind())


def _with_table(bases: Bases, *words: str, definition: Any = None) -> Specimen:
    folder = bases.new_folder("foreign")
    with tf.Graph().as_default(), v1.Session() as session:
        table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, 0, name="words")
        fill = table.insert(list(words), tf.range(3 - len(words), 3, dtype=tf.int64))
        v1.get_variable("vectors", [3, 1])
        session.run(v1.global_variables_initializer())
        session.run(fill)
        prefix = v1.train.Saver().save(session, str(folder / "model.ckpt"))
    definition = definition or TableGraph()
    exported = export_definition(definition, prefix, folder / "model", model="table_graph")
    return Specimen(exported=exported, definition=definition)


@planted("foreign", "file-configuration")
def table_of_the_checkpoint(bases: Bases) -> Specimen:
    """Words are looked up in the rows of a table that the checkpoint was not trained with."""
    return _with_table(bases, "red", "green")


@planted("foreign", "file-configuration")
def file_of_the_table_of_the_checkpoint(bases: Bases) -> Specimen:
    """A file fills a table with other rows than those that the checkpoint was trained with."""
    return _with_file(bases, "black", "red", "green")


def _hard_gate(kit: Any) -> list[Any]:
    return [kit.layers.LSTM(4, recurrent_activation="hard_sigmoid", name="l"), kit.layers.Dense(1, name="y")]


def _lookup(*words: str) -> Layers:
    return lambda k: [
        k.layers.StringLookup(vocabulary=list(words), name="words"),
        k.layers.Embedding(4, 2, name="vectors"),
    ]


def _adapted(kit: Any) -> list[Any]:
    lookup = kit.layers.StringLookup(name="words")
    lookup.adapt(["red", "red", "red", "green", "green", "blue"])
    return [lookup, kit.layers.Embedding(4, 2, name="vectors")]


def _bins(*bounds: float) -> Layers:
    return lambda k: [
        k.layers.Discretization(bin_boundaries=list(bounds), name="bins"),
        k.layers.Flatten(),
        k.layers.Embedding(4, 2, name="vectors"),
        *ends(k),
    ]


DEFECTS: tuple[Defect, ...] = (
    *(
        planted_in_file(f"{name}{file.replace('.', '-')}", about, file, theirs, ours)
        for name, (about, theirs, ours) in _CHAINS.items()
        for file in _FILES
    ),
    planted_in_file(
        "gate-of-keras-2", "A name means another function now.", ".keras-2.h5", _hard_gate, _hard_gate
    ),
    *(
        planted_in_file(
            f"words-of-the-file-{number}",
            "Words are looked up in the wrong rows.",
            ".keras",
            theirs,
            _lookup("blue", "green", "red"),
            words=True,
        )
        for number, theirs in enumerate((_adapted, _lookup("red", "green", "blue")))
    ),
    planted_in_file(
        "bins-of-the-file", "Numbers fall into other bins.", ".keras", _bins(-1, 0, 1), _bins(5, 25, 75)
    ),
)

# The same files with definitions that fit them.
GOOD: dict[str, Callable[[Bases], Specimen]] = {
    "foreign-file-of-a-table": lambda bases: _with_file(bases, "black", "green", "red"),
    "foreign-table-of-the-checkpoint": lambda bases: _with_table(bases, "green", "red"),
    **{
        f"foreign-{name}{file.replace('.', '-')}": functools.partial(
            foreign_file, file=file, theirs=theirs, ours=theirs
        )
        for name, (_, theirs, _) in _CHAINS.items()
        for file in _FILES
        if (name, file) != ("gate-of-the-file", ".keras-2.h5")
    },
    "foreign-words-of-the-file": functools.partial(
        foreign_file, file=".keras", theirs=_adapted, ours=_lookup("red", "green", "blue"), words=True
    ),
}
