"""Defects that only a foreign file can tell: layers are called otherwise, or have each other's weights."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.defects.bases import Bases
from tests.defects.in_foreign_files import Layers, ends, foreign_file, planted_in_file
from tests.defects.planting import Defect, Specimen

__all__ = ["DEFECTS", "GOOD"]


def _branches(*order: str) -> Layers:
    def layers(kit: Any) -> Sequence[Any]:
        def join(x: Any) -> Any:
            made = {name: kit.layers.Dense(3, name=name)(x) for name in ("p", "q")}
            return kit.layers.Subtract()([made[name] for name in order])

        return [join, *ends(kit)]

    return layers


def _attending(**more: Any) -> Layers:
    return lambda k: [lambda x: k.layers.MultiHeadAttention(2, 3, name="m")(x, x, **more), *ends(k)]


def _shared(*order: str) -> Layers:
    def layers(kit: Any) -> Sequence[Any]:
        dense = {name: kit.layers.Dense(3, name=name) for name in ("p", "q")}
        return [*(dense[name] for name in order), *ends(kit)]

    return layers


def _normalized(**more: Any) -> Layers:
    return lambda k: [lambda x: k.layers.BatchNormalization(name="bn")(x, **more), *ends(k)]


def _decoded(states: int) -> Layers:
    def layers(kit: Any) -> Sequence[Any]:
        def decode(x: Any) -> Any:
            _, *given = kit.layers.LSTM(3, return_state=True, name="encoder")(x)
            more = {"initial_state": given} if states else {}
            return kit.layers.Concatenate()([kit.layers.LSTM(3, name="decoder")(x, **more), *given])

        return [decode, kit.layers.Dense(1, name="y")]

    return layers


def _calculated(calculate: Callable[[Any], Any]) -> Layers:
    return lambda k: [calculate, *ends(k)]


def _softmax(axis: int) -> Layers:
    return lambda k: [k.layers.Softmax(axis=axis), *ends(k)]


def _keeping(factor: float) -> Layers:
    """A layer that keeps what it answers by in a file of its own."""

    def layers(kit: Any) -> Sequence[Any]:
        @kit.saving.register_keras_serializable("tests")
        class Keeping(kit.layers.Layer):  # type: ignore[misc]
            def call(self, x: Any) -> Any:
                return x * factor

            def save_assets(self, path: str) -> None:
                Path(path, "factor.txt").write_text(str(factor))

        return [Keeping(name="keeping"), *ends(kit)]

    return layers


# What layers are called with, and whose weights they have.
_CALLS: dict[str, tuple[str, str, Layers, Layers]] = {
    "branches-of-the-file": (
        "One branch has the place of the other: names and shapes are all right.",
        ".keras",
        _branches("p", "q"),
        _branches("q", "p"),
    ),
    "branches-of-the-file-of-keras-2": (
        "One branch has the place of the other: names and shapes are all right.",
        ".keras-2.h5",
        _branches("p", "q"),
        _branches("q", "p"),
    ),
    "shared-of-the-file-of-keras-2": (
        "Another layer is called twice: the file names no layer for its weights.",
        ".keras-2.keras",
        _shared("q", "p", "p"),
        _shared("q", "q", "p"),
    ),
    "mask-of-the-file-of-keras-2": (
        "Each word sees those after it, which it never saw while training.",
        ".keras-2.keras",
        _attending(use_causal_mask=True),
        _attending(),
    ),
    "mask-of-the-file": (
        "Each word sees those after it, which it never saw while training.",
        ".keras",
        _attending(use_causal_mask=True),
        _attending(),
    ),
    "batch-of-the-file": (
        "A layer that always answers by its batch answers by kept averages.",
        ".keras-2.h5",
        _normalized(training=True),
        _normalized(),
    ),
    "states-of-the-file": (
        "A decoder begins with zeros, whatever was read before.",
        ".h5",
        _decoded(2),
        _decoded(0),
    ),
    "factor-of-the-file": (
        "Numbers are scaled otherwise by an operation that is no layer.",
        ".keras",
        _calculated(lambda x: x * 2.0),
        _calculated(lambda x: x * 3.0),
    ),
    "factor-of-the-file-of-keras-2": (
        "Numbers are scaled otherwise by an operation that is no layer.",
        ".keras-2.h5",
        _calculated(lambda x: 1 - x),
        _calculated(lambda x: x - 1),
    ),
    "slice-of-the-file": (
        "The first steps are answered for the last ones.",
        ".h5",
        _calculated(lambda x: x[:, 3:]),
        _calculated(lambda x: x[:, :3]),
    ),
    "asset-of-the-file": (
        "A layer would answer by a file of its own, and answers by a default.",
        ".keras",
        _keeping(5.0),
        _keeping(1.0),
    ),
    "axis-of-the-file": (
        "Shares are those of a step, not of a feature.",
        ".keras",
        _softmax(1),
        _softmax(-1),
    ),
}

DEFECTS: tuple[Defect, ...] = tuple(planted_in_file(name, *parts) for name, parts in _CALLS.items())

# The same files with definitions that fit them.
GOOD: dict[str, Callable[[Bases], Specimen]] = {
    f"foreign-{name}": functools.partial(foreign_file, file=file, theirs=theirs, ours=theirs)
    for name, (_, file, theirs, _) in _CALLS.items()
    # A server batches the requests of others; and what a layer reads alone is waived, if it is right.
    if name not in ("batch-of-the-file", "asset-of-the-file")
}
