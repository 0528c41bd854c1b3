"""What a definition's evaluation data make for requests, and what answers to them tell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from redraw.definition import Signature, TensorSpec
from redraw.definition.held_out import measure_answers, requests_of_features
from redraw.errors import InvalidDefinition
from redraw.models.mnist import Mnist
from redraw.models.recommender import Recommender
from redraw.models.text_classifier import TextClassifier


def signature(inputs: dict[str, tuple[str, Any]], outputs: dict[str, tuple[str, Any]]) -> Signature:
    def specs(given: dict[str, tuple[str, Any]]) -> dict[str, TensorSpec]:
        return {name: TensorSpec(dtype, shape) for name, (dtype, shape) in given.items()}

    return Signature(inputs=specs(inputs), outputs=specs(outputs))


def batches(features: Any, labels: Any, size: int = 4) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((features, labels)).batch(size)


X = np.arange(10, dtype=np.float32)[:, None]
PLAIN = signature({"x": ("float32", (None, 1))}, {"kind": ("int64", (None,)), "odds": ("float32", (None,))})


def test_requests_of_features_that_fit_take_the_first_rows_and_their_labels() -> None:
    data = batches(X, np.arange(10))
    found = requests_of_features(data, {"serving_default": PLAIN}, 6)["serving_default"]
    np.testing.assert_array_equal(found.inputs["x"], X[:6])
    assert list(found.labels) == ["kind"]
    np.testing.assert_array_equal(found.labels["kind"], np.arange(6))


def test_requests_of_features_float_labels_go_to_the_float_output() -> None:
    data = batches(X, np.linspace(0, 1, 10).astype(np.float32))
    assert list(requests_of_features(data, {"s": PLAIN}, 200)["s"].labels) == ["odds"]


@pytest.mark.parametrize(
    "inputs",
    [{"x": ("float64", (None, 1))}, {"x": ("float32", (None, 2))}, {"x": ("float32", (None,))}, {}],
)
def test_requests_of_features_that_no_signature_takes_are_none(inputs: Any) -> None:
    other = signature({"y": ("string", (None,)), **inputs}, {"kind": ("int64", (None,))})
    alone = signature(inputs or {"x": ("uint8", (None, 1))}, {"kind": ("int64", (None,))})
    assert requests_of_features(batches(X, np.arange(10)), {"a": other, "b": alone}, 5) == {}


def test_requests_of_features_labels_that_two_outputs_could_have_are_left_out() -> None:
    two = signature({"x": ("float32", (None, 1))}, {"a": ("int64", (None,)), "b": ("bool", (None,))})
    assert requests_of_features(batches(X, np.arange(10)), {"s": two}, 5)["s"].labels == {}


def test_requests_of_features_of_no_batch_says_so() -> None:
    none = tf.data.Dataset.from_tensors((tf.zeros([1, 1]), tf.zeros([1, 1]))).take(0)
    with pytest.raises(
        InvalidDefinition, match="evaluation_data: expected at least one batch, got an empty dataset"
    ):
        requests_of_features(none, {}, 10)


def test_requests_of_features_named_features_go_to_inputs_of_their_names() -> None:
    data = batches({"b": X, "a": X + 1}, np.arange(10))
    named = signature({"a": ("float32", (None, 1)), "b": ("float32", (None, 1))}, {"k": ("int64", (None,))})
    found = requests_of_features(data, {"s": named}, 5)["s"]
    np.testing.assert_array_equal(found.inputs["a"], X[:5] + 1)


@pytest.mark.parametrize("definition", [Mnist, TextClassifier, Recommender])
def test_held_out_examples_of_the_models_that_ship_are_labelled_requests(definition: type[Any]) -> None:
    found = definition().held_out_examples()["serving_default"]
    (label,) = found.labels.values()
    assert len(label) == len(next(iter(found.inputs.values()))) >= 48
    for name, spec in definition.signatures["serving_default"].inputs.items():
        assert found.inputs[name].ndim == len(spec.shape)


def test_measure_answers_discrete_outputs_give_the_accuracy() -> None:
    assert measure_answers({"digit": np.array([1, 2, 3, 4])}, {"digit": np.array([1, 2, 0, 0])}) == {
        "accuracy": 0.5
    }
    texts = np.array([b"a", b"b"], object)
    assert measure_answers({"topic": texts}, {"topic": texts}) == {"accuracy": 1.0}


def test_measure_answers_several_labelled_outputs_carry_their_names() -> None:
    measured = measure_answers(
        {"kind": np.array([1]), "odds": np.array([0.5])}, {"kind": np.array([1]), "odds": np.array([0.25])}
    )
    assert measured == {"kind_accuracy": 1.0, "odds_mean_absolute_error": 0.25}
