"""The sample definitions of other tests, with data that fit them; `sample_models` has to be importable."""

from __future__ import annotations

from typing import Any

import numpy as np
from sample_models.every_layer import EveryLayer
from sample_models.every_module import EveryModule
from sample_models.line_module import LineDefinition
from sample_models.named_net import NamedNet
from sample_models.word_graph import WordGraphDefinition

from redraw.definition import Mode, TrainingPlan
from tests.defects.tiny import Arrays, Tiny, normal

__all__ = ["SAMPLES"]

_WORDS = ("red", "green", "blue", "grey", "none")


class EveryLayerDeclared(Tiny, EveryLayer):
    """Tables, shared, nested and custom layers, and one that counts its calls, as is declared."""

    stateful_ops = ("AssignVariableOp",)
    thresholds = {}
    serve = EveryLayer.serve

    def rows(self, count: int) -> Arrays:
        words = np.array([_WORDS[n % len(_WORDS)].encode() for n in range(count)], dtype=object)
        return {"word": words, "weight": normal(count)}

    def labels(self, count: int) -> np.ndarray:
        return np.ones([count, 4], np.float32)

    def call(self, network: Any, features: Any, mode: Mode) -> Any:
        return network(features["word"], training=mode is Mode.TRAIN)


class EveryModuleTrained(Tiny, EveryModule):
    """Variables made late, of each other's values, and a table from a file."""

    thresholds = {}
    serve = EveryModule.serve

    def rows(self, count: int) -> Arrays:
        return {"word": np.array([_WORDS[n % len(_WORDS)].encode() for n in range(count)], dtype=object)}

    def labels(self, count: int) -> np.ndarray:
        return np.ones([count, 2], np.float32)

    def call(self, network: Any, features: Any, mode: Mode) -> Any:
        return network(features["word"])


class KerasWeights(Tiny, NamedNet):
    """The network whose weights Keras saves in each of its formats."""

    serve = NamedNet.serve

    def rows(self, count: int) -> Arrays:
        return {"x": normal(count, 4)}

    def labels(self, count: int) -> np.ndarray:
        return np.ones([count, 2], np.float32)

    def call(self, network: Any, features: Any, mode: Mode) -> Any:
        return network(features["x"], training=mode is Mode.TRAIN)


class Words(WordGraphDefinition):
    """Partitioned embedding, two kinds of tables, averages: as it is, for fewer steps."""

    training = TrainingPlan(steps=40, evaluate_every=40, average_decay=0.9)


SAMPLES = {
    "every_layer": EveryLayerDeclared,
    "every_module": EveryModuleTrained,
    "named_net": KerasWeights,
    "line_module": LineDefinition,
    "word_graph": Words,
}
