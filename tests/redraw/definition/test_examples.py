"""What a definition gives for examples is checked where it is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from redraw.definition import GoldenExamples
from redraw.definition.examples import read_examples
from redraw.errors import InvalidDefinition
from redraw.models.mnist import Mnist

IMAGES = {"image": np.zeros((2, 28, 28), np.uint8)}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "expected a dict from signature names to GoldenExamples, got NoneType"),
        ([], "expected a dict from signature names to GoldenExamples, got list"),
        (
            {"serving": GoldenExamples(inputs=IMAGES)},
            "'serving': expected one of .*serving_default",
        ),
        ({"serving_default": IMAGES}, "'serving_default': expected GoldenExamples, got dict"),
        (
            {"serving_default": GoldenExamples(inputs=None)},
            "expected a dict from names to inputs, got NoneType",
        ),  # type: ignore[arg-type]
        (
            {"serving_default": GoldenExamples(inputs={"picture": [1]})},
            "inputs of image, got 'picture'",
        ),
        (
            {"serving_default": GoldenExamples(inputs=IMAGES, labels={"colour": np.zeros(2)})},
            "expected labels of .*digit.*, got 'colour'",
        ),
        (
            {"serving_default": GoldenExamples(inputs={"image": np.zeros((0, 28, 28), np.uint8)})},
            "expected at least one row of input 'image', got none",
        ),
        (
            {"serving_default": GoldenExamples(inputs={"image": np.array([["a"]])})},
            "expected uint8 for input 'image', got values of <U1",
        ),
    ],
)
def test_examples_that_are_none_say_what_is_wrong(
    given: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Mnist, "golden_examples", lambda definition: given)
    with pytest.raises(InvalidDefinition, match=rf"Mnist\.golden_examples.*{message}.* Correct the"):
        read_examples(Mnist(), "golden_examples")


def test_examples_become_arrays() -> None:
    found = read_examples(Mnist(), "golden_examples")["serving_default"]
    assert {type(value) for value in (*found.inputs.values(), *found.labels.values())} == {np.ndarray}
