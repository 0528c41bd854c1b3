"""Exports with nothing wrong: a gate that holds one of them up is as bad as one that lets a defect pass."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import tensorflow as tf

from redraw.definition import Budget, Mode, ModelDefinition, Threshold
from redraw.definition.registry import load_definition
from redraw.models.digits_graph import DigitsGraph
from redraw.models.mnist import Mnist
from redraw.records import WeightsKind
from tests.defects import (
    good_dtypes,
    good_graphs,
    good_modules,
    good_networks,
    in_foreign_calls,
    in_foreign_files,
    in_odd_names,
    in_other_writers,
    in_witnesses,
)
from tests.defects.bases import BASES, Bases, export_definition, train_definition
from tests.defects.planting import Specimen

__all__ = ["GOOD_EXPORTS", "GoodExport"]

_DEFINITIONS: tuple[type[ModelDefinition], ...] = tuple(
    getattr(module, name)
    for module in (good_dtypes, good_graphs, good_modules, good_networks)
    for name in module.__all__
)


@dataclass(frozen=True, kw_only=True)
class GoodExport:
    """A good export: its name, and what makes it."""

    name: str
    make: Callable[[Bases], Specimen]


class WithinItsBudget(Mnist):
    """MNIST for servers as old as TensorFlow 2.15, with a budget that it keeps."""

    serving_runtime = "2.15"
    budget: ClassVar[Budget] = Budget(
        size_bytes=1_000_000, variables=200_000, p50_ms=10_000.0, p99_ms=10_000.0, rows_per_second=0.1
    )
    max_regression: ClassVar[dict[str, float]] = {"accuracy": 0.0}


class RawMnist(Mnist):
    """MNIST without the bounds that its averaged weights keep."""

    thresholds: ClassVar[dict[str, Threshold]] = {}


class RawDigits(DigitsGraph):
    """Digits without the bounds that their averaged weights keep."""

    thresholds: ClassVar[dict[str, Threshold]] = {}


_RAW = {"mnist": RawMnist, "digits_graph": RawDigits}


def shipped(bases: Bases, model: str, weights: WeightsKind) -> Specimen:
    """A model that ships, with either weights."""
    raw = _RAW.get(model) if weights == "raw" else None
    definition = raw() if raw else load_definition(model)
    return Specimen(exported=bases.export(model, None, weights), definition=definition)


def replacing_itself(bases: Bases) -> Specimen:
    """The same weights again, for an old server, checked against a budget and the live version."""
    out = bases.new_folder("good")
    exported = export_definition(WithinItsBudget(), bases.checkpoint("mnist"), out)
    return Specimen(exported=exported, definition=WithinItsBudget(), live=bases.export("mnist"))


def trained(bases: Bases, kind: Callable[..., ModelDefinition]) -> Specimen:
    """A tiny definition, trained for two steps."""
    folder = bases.new_folder("good")
    folder.mkdir(parents=True)
    definition = kind(folder) if kind is good_modules.LargeVocabulary else kind()
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(definition).__name__).lower()
    checkpoint = train_definition(definition, name, folder)
    return Specimen(
        exported=export_definition(definition, checkpoint, folder / "model"), definition=definition
    )


def sampled(bases: Bases, module: str) -> Specimen:
    """One of the definitions that other tests use."""
    from tests.defects import good_samples

    return trained(bases, good_samples.SAMPLES[module])


def foreign(bases: Bases, suffix: str) -> Specimen:
    """Weights that Keras saved, in one of its formats."""
    from tests.defects.good_samples import KerasWeights

    definition = KerasWeights()
    folder = bases.new_folder("foreign")
    folder.mkdir(parents=True)
    network = definition.build(Mode.TRAIN)
    for number, variable in enumerate(network.variables):
        variable.assign(tf.fill(variable.shape, 0.5 + 0.01 * number))
    path = folder / f"saved{suffix}"
    if suffix == ".weights.h5":
        network.save_weights(path)
    else:
        network.save(path)
    exported = export_definition(definition, str(path), folder / "model", model="keras_weights")
    return Specimen(exported=exported, definition=definition)


def saved_by_tf1(bases: Bases, version: int) -> Specimen:
    """Weights that TF1's Saver wrote, V1 or V2, in a folder that an Estimator could have left."""
    folder = bases.new_folder("tf1")
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        network = good_graphs.ReferenceVariables().build(Mode.TRAIN)
        network({"x": v1.placeholder(tf.float32, [None, 4])})
        v1.train.get_or_create_global_step()
        saver = v1.train.Saver(write_version=version)
        session.run(v1.global_variables_initializer())
        (folder / "run").mkdir(parents=True)
        saver.save(session, str(folder / "run" / "model.ckpt"), 42)
    definition = good_graphs.ReferenceVariables()
    exported = export_definition(definition, str(folder / "run"), folder / "model", model="old_line")
    return Specimen(exported=exported, definition=definition)


def _goods() -> list[GoodExport]:
    goods: list[tuple[str, Callable[..., Specimen], Any]] = [
        ("replacing-itself", replacing_itself, ()),
        *((f"shipped-{model}-raw", shipped, (model, "raw")) for model in BASES),
        *(
            (f"shipped-{model}-average", shipped, (model, "average"))
            for model in BASES
            if model != "recommender"
        ),
        *((f"trained-{kind.__name__}", trained, (kind,)) for kind in _DEFINITIONS),
        *(
            (f"sample-{module}", sampled, (module,))
            for module in ("every_layer", "every_module", "line_module", "word_graph")
        ),
        *((f"saved-by-keras{suffix}", foreign, (suffix,)) for suffix in (".keras", ".weights.h5", ".h5")),
        *(
            (name, make, ())
            for module in (in_foreign_calls, in_foreign_files, in_other_writers, in_odd_names, in_witnesses)
            for name, make in module.GOOD.items()
        ),
        *((f"saved-by-tf1-v{n}", saved_by_tf1, (n,)) for n in (1, 2)),
    ]
    return [GoodExport(name=name, make=functools.partial(_call, make, more)) for name, make, more in goods]


def _call(make: Callable[..., Specimen], more: tuple[Any, ...], bases: Bases) -> Specimen:
    return make(bases, *more)


GOOD_EXPORTS = tuple(_goods())
