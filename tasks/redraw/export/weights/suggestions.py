"""Describe variables that a checkpoint does not have, and suggest renames without applying them."""

from __future__ import annotations

import difflib
import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from redraw.checkpoint.bundle.entries import TensorEntry
from redraw.checkpoint.formats.source import CheckpointSource
from redraw.checkpoint.formats.writer import find_writer
from redraw.errors import short_list

logger = logging.getLogger(__name__)

_HOW_CLOSE, _SHOWN = 0.4, 5
_COUNTER = re.compile(r"_\d+$")


class _Variable(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...


def describe_left_out(
    missing: Sequence[str],
    source: CheckpointSource,
    former: Iterable[str],
    *,
    others: bool,
    alike: bool,
) -> str:
    """The message for variables that the file's version of Keras does not save, or saves at an unknown place.

    Args:
        missing: Served variables, at least one.
        source: The file.
        former: The variables with a known place in a file of Keras 2.
        others: Whether the file has weights that no served variable claims.
        alike: Whether some of these have the names of missing variables apart from counters.

    Returns:
        The missing variables, the reason, and what to do; empty if there is no such reason.
    """
    writer, keras_file = find_writer(source), source.format in ("keras", "keras_weights")
    instead = "with save_weights(PATH, save_format='tf')"
    if keras_file and not writer.keras_3 and set(missing).isdisjoint(former):
        why = (
            "Keras 2 numbers layers in the order in which attributes were set, and that order is unknown"
            " for a list that was set or filled later"
            if others
            else "Keras 2 does not save layers in lists of lists or dicts of lists to .keras and .weights.h5"
        )
    elif source.format == "tensor_bundle" and writer.keras_3 and not others:
        why = "Keras 3 does not save layers in lists, tuples and dicts to a tf.train.Checkpoint"
        instead = "as .keras or .weights.h5"
    elif source.format == "keras_h5" and not writer.keras_3 and alike:
        why = (
            "Keras 2 lists trainable variables first, and the file does not say which variables of a"
            " custom layer were trainable, or in which order they were created"
        )
    else:
        return ""
    layers = short_list(sorted({name.rpartition("/")[0] or name for name in missing}), "layers", _SHOWN)
    actual = "no place that is certain" if others else "none of them"
    return (
        f"expected the weights of {layers} in the file, got {actual}: {why}. Save the trained model again"
        f" {instead}, and export that file."
    )


def describe_missing(missing: Sequence[_Variable], free: Mapping[str, TensorEntry]) -> str:
    """The message for served variables without a source.

    Args:
        missing: These variables, at least one.
        free: Name to tensor of the checkpoint's weights that no other variable claims.

    Returns:
        The first missing variable, the nearest names, and proposed renames. A rename is proposed
        only if it is the single one with that shape, dtype and last part of the name.
    """
    first, more = missing[0], len(missing) - 1
    close = difflib.get_close_matches(first.name, free, n=3, cutoff=_HOW_CLOSE)
    others = f", and {more} more served variables have no value" if more else ""
    if more:
        names = ", ".join(repr(variable.name) for variable in missing)
        logger.info("served variables without a value in the checkpoint: %s", names)
    message = (
        f"served variable {first.name!r}: expected its value in the checkpoint, got none;"
        f" the nearest names are {', '.join(close) or 'none'}{others}."
    )
    proposals = _proposals(missing, free)
    if not proposals:
        return f"{message} Give the layer the name that it had in training, or set renames in the definition."
    pairs = short_list(
        (f"({served_name!r}, {saved_name!r})" for served_name, saved_name in proposals), "renames"
    )
    return f"{message} If these are the same weights, set in the definition: renames = ({pairs},)."


def _proposals(missing: Sequence[_Variable], free: Mapping[str, TensorEntry]) -> list[tuple[str, str]]:
    fitting = {variable.name: [name for name in free if _fits(variable, name, free)] for variable in missing}
    counted = {
        served_name
        for served_name, names in fitting.items()
        if any(differ_by_counters(served_name, name) for name in names)
    }
    single = {
        served_name: names[0]
        for served_name, names in fitting.items()
        if len(names) == 1 and served_name not in counted
    }
    times = Counter(name for names in fitting.values() for name in names)
    return [(served_name, saved_name) for served_name, saved_name in single.items() if times[saved_name] == 1]


def differ_by_counters(name: str, other: str) -> bool:
    """Whether two names differ by a counter: shapes alone do not tell which of several it is."""
    parts, others = name.split("/"), other.split("/")
    return any(_COUNTER.search(part) for part in (set(parts) ^ set(others)))


def _fits(variable: _Variable, name: str, free: Mapping[str, TensorEntry]) -> bool:
    entry = free[name]
    same_kind = (tuple(variable.shape), variable.dtype) == (entry.shape, entry.dtype)
    return same_kind and variable.name.rpartition("/")[2] == name.rpartition("/")[2]
