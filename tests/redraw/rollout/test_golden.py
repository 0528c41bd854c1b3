"""How a server's answers are compared with the recorded ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from redraw.rollout.client import Question
from redraw.rollout.golden import compare

RECORDED = {"a": np.float32([1, 2, 3]), "b": np.int64([1, 2, 3])}


@pytest.mark.parametrize(
    ("answered", "problems", "largest"),
    [
        ({}, [], 0.0),
        ({"a": np.float32([1, 2.25, 2.5])}, ["output 'a': floats differ by up to 0.5"], 0.5),
        ({"a": np.float32([1, 2, 3.125])}, [], 0.125),
        (
            {"a": np.float32([math.nan, 2.5, math.inf])},
            ["output 'a': 2 of 3 values are finite in only one of the two answers"],
            0.5,
        ),
        ({"a": np.float32([1, 2])}, ["output 'a': shape [2] instead of [3]"], 0.0),
        ({"b": np.int64([1, 9, 9])}, ["output 'b': 2 of 3 values differ"], 0.0),
        (
            {"a": np.float32([1, 3, 3]), "b": np.int64([[1, 2, 3]])},
            ["output 'a': floats differ by up to 1", "output 'b': shape [1, 3] instead of [3]"],
            1.0,
        ),
    ],
)
def test_compare_names_each_output_that_differs_by_more_than_the_tolerance(
    answered: dict[str, Any], problems: list[str], largest: float
) -> None:
    question = Question(signature="s", inputs={}, outputs=RECORDED, specs={})
    assert compare(question, {**RECORDED, **answered}, 0.1) == (
        [f"signature 's', {problem}" for problem in problems],
        largest,
    )


def test_compare_takes_what_is_not_finite_on_both_sides_as_equal() -> None:
    values = {"a": np.float32([math.nan, math.inf, -math.inf])}
    question = Question(signature="s", inputs={}, outputs=values, specs={})
    assert compare(question, values, 0.0) == ([], 0.0)
