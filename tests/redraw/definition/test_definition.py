from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from redraw.definition import Budget, OutsideReference, Threshold, TrainingPlan
from redraw.errors import InvalidDefinition
from redraw.models.mnist import Mnist
from redraw.records import Signature, TensorSpec


@pytest.mark.parametrize(
    "renames", [("a", "b"), (("a",),), (("a", 1),), ((1, "b"),), {"a": "b"}, [("a", "b")], (("a", "b", "c"),)]
)
def test_check_renames_that_are_no_pairs_is_refused(renames: Any) -> None:
    class Renamed(Mnist):
        pass

    Renamed.renames = renames
    with pytest.raises(InvalidDefinition, match="renames: expected pairs"):
        Renamed().check()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("data_sets", "mnist", r"data_sets: expected tuple\[str, \.\.\.\], got 'mnist'"),
        ("data_sets", (1,), "data_sets: expected"),
        ("license", None, "license: expected str, got None"),
        ("intended_use", ["digits"], "intended_use: expected str"),
        ("limits", 5, "limits: expected str, got 5"),
        ("licence", "MIT", "licence: expected the same value as license .'Apache-2.0'., got 'MIT'"),
    ],
)
def test_check_card_texts_of_another_type_are_refused_by_name(name: str, value: Any, message: str) -> None:
    described = type("Described", (Mnist,), {"license": "Apache-2.0", name: value})
    with pytest.raises(InvalidDefinition, match=message):
        described().check()


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_check_change_tolerance_that_is_none_is_refused(value: float) -> None:
    tolerant = type("Tolerant", (Mnist,), {"change_tolerance": value})
    with pytest.raises(
        InvalidDefinition, match="change_tolerance: expected a finite number of 0 or more, got"
    ):
        tolerant().check()


@pytest.mark.parametrize(
    ("name", "value"),
    [("tolerance", float("nan")), ("tolerance", -1), ("tolerance", float("inf")),
     ("max_regression", {"loss": float("nan")})],
)  # fmt: skip
def test_check_bound_that_everything_keeps_is_refused(name: str, value: Any) -> None:
    bound = type("Bound", (Mnist,), {name: value})
    with pytest.raises(InvalidDefinition, match=rf"{name}.*: expected a finite number of 0 or more, got"):
        bound().check()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("training", TrainingPlan(steps="5"), "training, steps: expected int, got '5'"),  # type: ignore[arg-type]
        ("training", TrainingPlan(steps=1.5), "training, steps: expected int, got 1.5"),  # type: ignore[arg-type]
        (
            "training",
            TrainingPlan(average_decay=1.5),
            "average_decay: expected a number from 0 to less than 1",
        ),
        ("training", TrainingPlan(mixed_precision="fp8"), "mixed_precision: expected"),  # type: ignore[arg-type]
        ("budget", Budget(p99_ms="9"), r"budget, p99_ms: expected float \| None, got '9'"),  # type: ignore[arg-type]
        ("thresholds", {"loss": Threshold(at_most="1")}, "thresholds 'loss', at_most: expected"),  # type: ignore[arg-type]
        ("reference", OutsideReference(uri=5), "reference, uri: expected str, got 5"),  # type: ignore[arg-type]
    ],
)
def test_check_part_of_another_type_is_refused_by_name(name: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidDefinition, match=message):
        type("Parts", (Mnist,), {name: value})().check()


def test_check_numbers_of_numpy_are_taken() -> None:
    parts = {
        "training": TrainingPlan(steps=np.int64(5), average_decay=0.5),  # type: ignore[arg-type]
        "thresholds": {"accuracy": Threshold(at_least=np.float32(0.5))},  # type: ignore[arg-type]
    }
    type("Parts", (Mnist,), parts)().check()


GOOD = TensorSpec("float32", (None, 3))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"x": "float32"}, r"input 'x': expected redraw.TensorSpec.*got 'float32'"),
        ({"x": tf.TensorSpec((None, 3))}, "input 'x': expected redraw.TensorSpec"),
        ({3: GOOD}, "input 3: expected a non-empty name"),
        (["x"], "expected dicts from names to TensorSpec"),
        ({"x": TensorSpec("floatx", (None, 3))}, "expected a dtype of bool, string, .*got 'floatx'"),
        ({"x": TensorSpec(tf.float32, (None, 3))}, "expected a dtype of .*got tf.float32"),  # type: ignore[arg-type]
        ({"x": TensorSpec("float32", (None, -3))}, "expected None or a number of 0 or more"),
        ({"x": TensorSpec("float32", (None, "3"))}, "expected None or a number"),  # type: ignore[arg-type]
    ],
)
def test_check_signature_of_another_form_is_refused_by_name(inputs: Any, message: str) -> None:
    signatures = {"serving_default": Signature(inputs=inputs, outputs={"y": GOOD})}
    with pytest.raises(InvalidDefinition, match=rf"signature 'serving_default'.*{message}"):
        type("Asked", (Mnist,), {"signatures": signatures})().check()


def test_check_renames_of_names_and_patterns_passes() -> None:
    class Renamed(Mnist):
        renames = (("a", "b"), (re.compile("c/(.*)"), r"d/\1"))

    Renamed().check()
