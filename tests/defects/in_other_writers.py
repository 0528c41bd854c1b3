"""Defects of what other writers left: Keras 2 without a configuration, shards, recordings, references."""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from redraw.definition import GoldenExamples, Mode
from redraw.draft.draft import draft_definition
from redraw.requests import DraftRequest
from tests.defects.bases import Bases, export_definition
from tests.defects.in_foreign_files import Layers, foreign_file
from tests.defects.planting import (
    Defect,
    Specimen,
    planted,
)
from tests.defects.tiny import normal

__all__ = ["DEFECTS", "GOOD"]

v1 = tf.compat.v1


def _chain(*layers: Callable[[Any], Any]) -> Layers:
    return lambda k: [
        *(layer(k) for layer in layers),
        k.layers.GlobalAveragePooling1D(),
        k.layers.Dense(1, name="y"),
    ]


def _both_ways(merge: str) -> Layers:
    return _chain(
        lambda k: k.layers.Bidirectional(
            k.layers.GRU(3, return_sequences=True), merge_mode=merge, name="both"
        )
    )


def _recurrent(**more: Any) -> Layers:
    return lambda k: [k.layers.GRU(4, name="g", **more), k.layers.Dense(1, name="y")]


def _convolution(**more: Any) -> Layers:
    return _chain(lambda k: k.layers.Conv1D(4, 2, name="c", **more))


def _scaled(**more: Any) -> Layers:
    return _chain(lambda k: k.layers.Rescaling(0.1, name="s", **more))


def _pooled(kind: str) -> Layers:
    return lambda k: [getattr(k.layers, kind)(), k.layers.Dense(1, name="y")]


def _film(**more: Any) -> Layers:
    return lambda k: [
        k.layers.Reshape((3, 6, 1)),
        k.layers.ConvLSTM1D(2, 2, name="c", **more),
        k.layers.Flatten(),
        k.layers.Dense(1, name="y"),
    ]


def _masked(kit: Any) -> list[Any]:
    """A mask and none, merged: the two Keras make another one of them."""

    def merge(x: Any) -> Any:
        return kit.layers.Concatenate()([kit.layers.Masking()(x), x])

    return [merge, kit.layers.LSTM(3, name="l"), kit.layers.Dense(1, name="y")]


def _clipped(x: Any) -> Any:
    return tf.clip_by_value(0.2 * x + 0.5, 0.0, 1.0)


# Name to the file, what it means in production, the file's layers, and the definition's.
_WRONG: dict[str, tuple[str, str, Layers, Layers]] = {
    "dilation": (".keras", "Neighbours are others.", _convolution(dilation_rate=2), _convolution()),
    "causal": (
        ".h5",
        "Rows see what comes after them.",
        _convolution(padding="causal"),
        _convolution(padding="same"),
    ),
    "direction": (".keras-2.h5", "Backwards is forwards.", _recurrent(go_backwards=True), _recurrent()),
    "merge": (".keras", "A mean is a sum.", _both_ways("ave"), _both_ways("sum")),
    "offset": (".keras-2.h5", "Numbers begin elsewhere.", _scaled(offset=1.0), _scaled()),
    "pooling": (
        ".keras",
        "The largest is the mean.",
        _pooled("GlobalMaxPooling1D"),
        _pooled("GlobalAveragePooling1D"),
    ),
    "gate-without-configuration": (
        ".keras-2.weights.h5",
        "A name means another function now, and the file says nothing of it.",
        _recurrent(recurrent_activation="hard_sigmoid"),
        _recurrent(recurrent_activation="hard_sigmoid"),
    ),
    "default-gate-without-configuration": (
        ".keras-2.weights.ckpt",
        "A default means another function now, and the file says nothing of it.",
        _film(),
        _film(),
    ),
    "masks-merged": (".keras-2.h5", "Masked rows count as others.", _masked, _masked),
}
_RIGHT: dict[str, tuple[str, Layers, Layers]] = {
    **{name: (file, theirs, theirs) for name, (file, _, theirs, _) in list(_WRONG.items())[:6]},
    "gate-stated": (".keras-2.weights.ckpt", _film(), _film(recurrent_activation=_clipped)),
    "gate-of-both": (".keras-2.weights.h5", _recurrent(), _recurrent()),
    "masks-merged-by-keras-3": (".keras", _masked, _masked),
    "shards": (".weights.json", _recurrent(), _recurrent()),
}


def _planted(name: str, file: str, about: str, theirs: Layers, ours: Layers) -> Defect:
    def plant(bases: Bases) -> Specimen:
        return foreign_file(bases, file, theirs, ours)

    return Defect(
        name=f"{name}-of-the-writer",
        base="foreign",
        caught_by="file-configuration",
        in_production=about,
        plant=plant,
    )


@planted("foreign", "weights-source")
def shards_written_again(bases: Bases) -> Specimen:
    """Training went on in the same place: what is served is not what the files hold any more."""
    specimen = foreign_file(bases, ".weights.json", _recurrent(), _recurrent())
    index = Path(specimen.exported.checkpoint.uri)
    (path,) = index.parent.glob("*.weights.json") if index.is_dir() else (index,)
    network = specimen.definition.build(Mode.SERVE)
    network.load_weights(path)
    network.set_weights([weight + 1 for weight in network.get_weights()])
    network.save_weights(path, max_shard_size=1e-6)
    return specimen


def _configured(bases: Bases, file: str) -> Specimen:
    """A full file, with the definition that is drafted of it."""
    made = foreign_file(bases, file, _recurrent(), _recurrent())
    source, folder = made.exported.checkpoint.uri, bases.new_folder("drafted")
    name = f"drafted{file.replace('.', '_').replace('-', '_')}"
    record = draft_definition(DraftRequest(source=source, name=name, out=str(folder)))
    spec = importlib.util.spec_from_file_location(name, record.path)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    kind = next(found for key, found in vars(module).items() if key.startswith("Drafted"))
    kind.golden_examples = lambda self: {"serving_default": GoldenExamples(inputs={"x": normal(5, 6, 3)})}
    definition = kind()
    exported = export_definition(definition, source, folder / "model", model=name)
    return Specimen(exported=exported, definition=definition)


GOOD: Mapping[str, Callable[[Bases], Specimen]] = {
    **{
        f"{name}-of-the-writer": functools.partial(foreign_file, file=file, theirs=theirs, ours=ours)
        for name, (file, theirs, ours) in _RIGHT.items()
    },
    "configured-keras-3": functools.partial(_configured, file=".keras"),
    "configured-keras-2": functools.partial(_configured, file=".keras-2.h5"),
}
DEFECTS: tuple[Defect, ...] = (
    *(_planted(name, *parts) for name, parts in _WRONG.items()),
    *(value for value in vars().copy().values() if isinstance(value, Defect)),
)
