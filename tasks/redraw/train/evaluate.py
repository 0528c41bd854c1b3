"""Measure a network on the evaluation data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from redraw.definition import Mode, ModelDefinition
from redraw.definition.user_code import batches_of, method_of, running_user_code


class Evaluator:
    """Evaluates networks of one definition; each network's graph is traced once."""

    def __init__(self, definition: ModelDefinition, events: Path) -> None:
        self._definition = definition
        with running_user_code(method_of(definition, "metrics")):
            self._metrics = {"loss": keras.metrics.Mean(), **definition.metrics()}
        self._traced: dict[int, Any] = {}
        self._events = tf.summary.create_file_writer(str(events))

    def __call__(self, network: Any) -> dict[str, float]:
        """Metric name to value over the evaluation data, `loss` among them."""
        update = self._traced.setdefault(id(network), self._updater(network))
        with running_user_code(f"{method_of(self._definition, 'evaluation_data')}, call, loss or metrics"):
            for metric in self._metrics.values():
                metric.reset_state()
            for features, labels in batches_of(self._definition, "evaluation_data"):
                update(features, labels)
        return {name: self._number(name, metric) for name, metric in self._metrics.items()}

    def _number(self, name: str, metric: Any) -> float:
        with running_user_code(method_of(self._definition, f"metrics, {name!r}, as one number,")):
            return float(metric.result())

    def write_events(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write metrics for TensorBoard."""
        with self._events.as_default(step=step):
            for name, value in metrics.items():
                tf.summary.scalar(name, value)
        self._events.flush()

    def close(self) -> None:
        """Close the event file."""
        self._events.close()

    def _updater(self, network: Any) -> Any:
        def update(features: Any, labels: Any) -> None:
            outputs = self._definition.call(network, features, Mode.EVALUATE)
            rows = tf.shape(tf.nest.flatten(labels)[0])[0]
            loss, *others = self._metrics
            self._metrics[loss].update_state(self._definition.loss(outputs, labels), sample_weight=rows)
            for name in others:
                self._metrics[name].update_state(labels, outputs)

        return tf.function(update)
