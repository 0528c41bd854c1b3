"""Answers to rows that are asked alone, in batches and at once, next to those of an original."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from redraw.validate.checks.answers.recorded import ROWS, compare_answers

Answer = Callable[[np.ndarray], np.ndarray]
REQUEST = {"serve": {"x": np.linspace(0, 1, ROWS).astype(np.float32)}}


class Original:
    """What is compared with: twice the rows, each time a little more if it drifts."""

    def __init__(self, drift: float = 0.0) -> None:
        self.drift, self.asked = drift, 0

    def answer(self, signature: str, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        self.asked += 1
        return {"y": inputs["x"] * 2 + self.drift * self.asked}


def compared(answer: Answer, original: Original, tolerance: float = 1e-3) -> tuple[list[str], float]:
    return compare_answers(original, lambda name, request: {"y": answer(request["x"])}, REQUEST, tolerance)


def test_compare_answers_that_are_the_same_finds_nothing_and_the_largest_error() -> None:
    problems, most = compared(lambda x: x * 2 + np.float32(5e-4), Original())
    assert problems == []
    assert most == pytest.approx(5e-4, rel=1e-2)


@pytest.mark.parametrize(
    ("answer", "where"),
    [
        (lambda x: x * 2 + (len(x) == 1), ["alone"]),
        (lambda x: x * 2 + (1 < len(x) < ROWS), ["in batches of 32"]),
        (lambda x: x * 2 + (len(x) == ROWS), ["at once"]),
        (lambda x: x * 2 - x.mean(), ["alone", "in batches of 32", "at once"]),
    ],
)
def test_compare_answers_names_how_rows_were_asked_that_differ(answer: Answer, where: list[str]) -> None:
    problems, most = compared(answer, Original())
    assert [problem.partition(", signature 'serve', output 'y': ")[0] for problem in problems] == where
    assert most > 0.1


def test_compare_answers_of_an_original_that_varies_says_so() -> None:
    problems, _ = compared(lambda x: x * 2, Original(drift=1e-4))
    assert [
        problem.startswith("the answers of the recorded graph itself vary: ('serve', 'y')")
        for problem in problems
    ] == [True]
