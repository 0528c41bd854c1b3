"""Find the averages of Keras' optimizers in a `.keras` file, whose variables have only numbers.

An optimizer saves a list: its step count, its learning rate if that is a number, one average
for each trained variable, then its slots. The file does not say which is which, nor which
variables were trained. So this module builds the configured optimizer again for the
definition's network, without memory for its variables. The numbers of the averages are
certain only if this list matches the file's, and the network's layers come in the order of
the file's configuration.

Source:
    https://github.com/keras-team/keras/blob/v3.15.1/keras/src/optimizers/base_optimizer.py
    (`build`, `save_own_variables`)
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras

from redraw.checkpoint.formats.archive import ArchiveSource
from redraw.checkpoint.formats.source import CheckpointSource
from redraw.compat.keras import optimizer_averages
from redraw.export.graph.declared import Declarations
from redraw.export.graph.drawn import DrawnGraph

logger = logging.getLogger(__name__)

_NUMBERED = "optimizer/vars/"
_OWN_MODULE = "keras.optimizers"


class _UncertainError(Exception):
    """A reason why the averages cannot be assigned with certainty."""


def find_numbered_averages(graph: DrawnGraph, source: CheckpointSource) -> dict[str, str]:
    """Find the averages in a `.keras` file.

    Returns:
        Key of a weight to key of its average; empty for other files, and in case of a doubt,
        which is logged.
    """
    if not isinstance(source, ArchiveSource) or source.optimizer is None:
        return {}
    try:
        keys = _trained_keys(graph, source)
        numbers = _numbers_of_averages(source.optimizer, [source.entries[key] for key in keys], source)
    except _UncertainError as err:
        logger.warning("%s: its optimizer's averages, if any, are not used: %s", source.uri, err)
        return {}
    return {key: f"{_NUMBERED}{number}" for key, number in zip(keys, numbers, strict=True)}


def _trained_keys(graph: DrawnGraph, source: ArchiveSource) -> list[str]:
    """The keys of the trained variables, in the optimizer's order."""
    if source.foreign_classes:
        raise _UncertainError(f"only {source.foreign_classes[0]} knows the order of its variables")
    names = list(_names_of_layers(source.config))
    times = Counter(names)
    order = {name: number for number, name in enumerate(names) if times[name] == 1}
    keys, last = [], -1
    for name in graph.places.trained:
        place = next((order[part] for part in reversed(name.split("/")[:-1]) if part in order), -1)
        if place <= 0 or place < last:
            raise _UncertainError(f"{name} is not in the order of the file's layers")
        key = next(iter(graph.places.in_keras_files.get(name, ())), None)
        if key is None or key not in source.entries:
            raise _UncertainError(f"{name} is not in the file")
        last = place
        keys.append(key)
    return keys


def _names_of_layers(config: Any) -> Iterator[str]:
    """The names in a model's configuration, in its order: the model's, then those of its layers."""
    if isinstance(config, list):
        for item in config:
            yield from _names_of_layers(item)
    if not isinstance(config, dict):
        return
    settings = config.get("config")
    if "class_name" in config and isinstance(settings, dict):
        if settings.get("trainable") is False:
            raise _UncertainError("a layer was frozen")
        if isinstance(settings.get("name"), str):
            yield settings["name"]
    for key, item in config.items():
        if key != "compile_config":
            yield from _names_of_layers(item)


def _numbers_of_averages(
    config: Mapping[str, Any], trained: Sequence[Any], source: ArchiveSource
) -> list[int]:
    """The number of the average of each trained variable among the optimizer's variables."""
    with Declarations().in_force():
        optimizer = _optimizer(config)
        optimizer.build([keras.Variable("zeros", entry.shape, entry.dtype) for entry in trained])
    forms = [(tuple(v.shape), keras.backend.standardize_dtype(v.dtype)) for v in optimizer.variables]
    saved = {key.removeprefix(_NUMBERED): e for key, e in source.entries.items() if key.startswith(_NUMBERED)}
    if {str(n): form for n, form in enumerate(forms)} != {n: (e.shape, e.dtype) for n, e in saved.items()}:
        raise _UncertainError(
            f"for this network {type(optimizer).__name__} has {len(forms)} variables, and the file has"
            f" {len(saved)}, or other shapes"
        )
    numbers = {id(variable): number for number, variable in enumerate(optimizer.variables)}
    return [numbers[id(average)] for average in optimizer_averages(optimizer)]


def _optimizer(config: Mapping[str, Any]) -> Any:
    """Keras' own optimizer, built from its settings without loading anything that they name."""
    settings, name = dict(config["config"]), config.get("class_name")
    own = config.get("module") == _OWN_MODULE and config.get("registered_name") is None
    kinds = {kind.__name__: kind for kind in vars(keras.optimizers).values() if _is_optimizer(kind)}
    rate = settings.pop("learning_rate", None)
    if not own or name not in kinds or any(isinstance(value, dict) for value in settings.values()):
        raise _UncertainError(f"{name} is not an optimizer of Keras, or contains another one")
    if settings.get("use_ema") is not True:
        raise _UncertainError("the optimizer's configuration does not set use_ema")
    if settings.get("gradient_accumulation_steps"):
        raise _UncertainError(
            "in some versions of Keras, accumulated gradients are stored between the averages"
        )
    # A schedule is not a variable.
    learning_rate = rate if isinstance(rate, float) else lambda: 0.0
    try:
        return kinds[name].from_config({**settings, "learning_rate": learning_rate})
    except (TypeError, ValueError) as err:
        raise _UncertainError(f"this version of Keras cannot build {name} ({err})") from err


def _is_optimizer(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, keras.optimizers.Optimizer)
