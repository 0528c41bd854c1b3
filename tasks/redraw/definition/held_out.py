"""Make held-out requests from a definition's evaluation data, and measure the answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from redraw.definition.parts import GoldenExamples
from redraw.errors import InvalidDefinition
from redraw.records.signature import Signature, TensorSpec

if TYPE_CHECKING:
    import tensorflow as tf

_DISCRETE = "biuSO"


def requests_of_features(
    batches: tf.data.Dataset, signatures: Mapping[str, Signature], rows: int
) -> dict[str, GoldenExamples]:
    """Use evaluation batches as requests, for signatures whose inputs are the features.

    Args:
        batches: Batches of (features, labels).
        signatures: Name to signature.
        rows: How many rows to take at most.

    Returns:
        Signature name to requests. Labels are assigned to the only output that can be compared with them:
        with the same number of dimensions, and discrete if the labels are.
    """
    features, labels = _first_rows(batches, rows)
    requests = {}
    for name, signature in signatures.items():
        inputs = _inputs(features, signature)
        if inputs is not None:
            requests[name] = GoldenExamples(inputs=inputs, labels=_labels(labels, signature))
    return requests


def measure_answers(outputs: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Compare answers with labels.

    Args:
        outputs: Output name to answers, [batch, …].
        labels: Output name to the true answers, [batch, …].

    Returns:
        `accuracy`, the share of equal values of a discrete output, or `mean_absolute_error` of a float
        output; with several labelled outputs, prefixed with the output's name.
    """
    measured = {}
    for output, truth in labels.items():
        answers, expected = np.asarray(outputs[output]), np.asarray(truth)
        if answers.dtype.kind in _DISCRETE:
            metric, value = "accuracy", np.mean(answers == expected)
        else:
            metric, value = "mean_absolute_error", np.mean(np.abs(answers - expected))
        measured[metric if len(labels) == 1 else f"{output}_{metric}"] = float(value)
    return measured


def _first_rows(batches: tf.data.Dataset, rows: int) -> tuple[Any, Any]:
    import tensorflow as tf

    batches_read: list[Any] = []
    count = 0
    for features, labels in batches.as_numpy_iterator():
        batches_read.append(tf.nest.flatten((features, labels)))
        structure = (features, labels)
        count += len(batches_read[-1][-1])
        if count >= rows:
            break
    if not batches_read:
        raise InvalidDefinition(
            "evaluation_data: expected at least one batch, got an empty dataset. Correct the definition."
        )
    columns = [np.concatenate(parts)[:rows] for parts in zip(*batches_read, strict=True)]
    packed: tuple[Any, Any] = tf.nest.pack_sequence_as(structure, columns)
    return packed


def _inputs(features: Any, signature: Signature) -> Mapping[str, np.ndarray] | None:
    if not isinstance(features, Mapping):
        if len(signature.inputs) != 1:
            return None
        features = {next(iter(signature.inputs)): features}
    if set(features) != set(signature.inputs):
        return None
    fits = all(_fits(features[name], spec) for name, spec in signature.inputs.items())
    return dict(features) if fits else None


def _fits(value: Any, spec: TensorSpec) -> bool:
    value = np.asarray(value)
    dtype = "string" if value.dtype.kind in "SO" else value.dtype.name
    return (
        dtype == spec.dtype
        and value.ndim == len(spec.shape)
        and all(expected in (None, actual) for expected, actual in zip(spec.shape, value.shape, strict=True))
    )


def _labels(labels: Any, signature: Signature) -> Mapping[str, np.ndarray]:
    if isinstance(labels, (Mapping, tuple, list)):
        return {}
    labels = np.asarray(labels)
    fitting = [
        name
        for name, spec in signature.outputs.items()
        if len(spec.shape) == labels.ndim and _kind(spec.dtype) == _kind(labels.dtype.name)
    ]
    return {fitting[0]: labels} if len(fitting) == 1 else {}


def _kind(dtype: str) -> str:
    """How values are compared: as floats, texts, or discrete numbers."""
    if dtype in ("string", "object") or dtype.startswith("bytes"):
        return "text"
    return "float" if "float" in dtype or "complex" in dtype else "discrete"
