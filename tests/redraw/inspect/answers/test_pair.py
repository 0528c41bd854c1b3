"""The same requests, sent to two versions: which rows go together, and what becomes of refused ones."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import pytest

from redraw.inspect.answers.batches import RequestBatch
from redraw.inspect.answers.pair import VersionPair
from redraw.inspect.answers.record_parts import Problems
from redraw.serving import LoadedModel
from redraw.serving.errors import ServingFailure


class Answering:
    """Answers at once, and refuses requests in which a value is refused."""

    def __init__(self, refuses: Callable[[int], bool] = lambda value: False) -> None:
        self.asked: list[int] = []
        self._refuses = refuses

    def answer(self, signature: str, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        values = inputs["x"].reshape(len(inputs["x"]), -1)[:, 0]
        self.asked.append(len(values))
        if refused := [value for value in values.tolist() if self._refuses(value)]:
            raise ServingFailure(f"no {refused[0]}")
        return {signature: values}


def pair_of(here: Answering, other: Answering, problems: Problems | None = None) -> VersionPair:
    models = (cast("LoadedModel", model) for model in (here, other))
    return VersionPair(*models, ("version 8", "version 7"), problems or Problems())


def batch_of(start: int, stop: int, width: int = 0) -> RequestBatch:
    numbers = np.arange(start, stop)
    inputs: dict[str, Any] = {"x": np.repeat(numbers[:, None], width, 1) if width else numbers}
    return RequestBatch(source="log", signature="y", inputs=inputs, unit="row", numbers=numbers)


def test_ask_gives_the_answers_of_both_in_the_order_of_the_requests() -> None:
    pair = pair_of(Answering(), Answering(lambda value: value == 5))
    answered = list(pair.ask(batch_of(n, n + 3) for n in range(0, 12, 3)))
    assert [one.batch.numbers.tolist() for one in answered] == [
        [0, 1, 2],
        [3],
        [4],
        [6, 7, 8],
        [9, 10, 11],
    ]
    for one in answered:
        assert one.here["y"].tolist() == one.other["y"].tolist() == one.batch.numbers.tolist()
    assert pair.refused == [0, 1]


class Clock(threading.local):
    """Time that passes only while a model answers, in each thread its own."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("width", "seconds", "rows"),
    [
        (0, 0.1, [512, 1024, 2048, 4096, 4096]),
        (0, 0.25, [256] * 3),
        (0, 0.5, [256] * 3),
        (0, 1.0, [256] * 3),
        (0, 1.25, [128, 64, 32, 16, 8, 4, 2, 1, 1]),
        # Of 16 MiB at most, but for a single row.
        (1 << 13, 0.1, [256] * 3),
        (1 << 20, 0.1, [2] * 3),
        (1 << 22, 0.1, [1] * 3),
    ],
)
def test_rows_of_quick_answers_double_and_of_slow_ones_halve(
    width: int, seconds: float, rows: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("redraw.inspect.answers.pair.time", clock)

    def pass_time(value: int) -> bool:
        clock.now += seconds if value == 0 else 0
        return False

    pair = pair_of(Answering(pass_time), Answering(pass_time))
    assert pair.rows() == 256
    found = []
    for _ in rows:
        asked = min(pair.rows(), 256) if width else pair.rows()
        x = np.arange(asked)
        x = np.broadcast_to(x[:, None], (asked, width)) if width else x  # takes no memory
        batch = RequestBatch(source="log", signature="y", inputs={"x": x}, unit="row", numbers=x)
        list(pair.ask([batch]))
        found.append(pair.rows())
    assert found == rows


def test_ask_leaves_out_the_rows_that_one_refuses_and_tells_which() -> None:
    problems = Problems()
    pair = pair_of(Answering(lambda value: value == 6), Answering(lambda value: value in (2, 6)), problems)
    answered = np.concatenate([one.batch.numbers for one in pair.ask([batch_of(0, 8)])])
    assert sorted(answered.tolist()) == [0, 1, 3, 4, 5, 7]
    assert pair.refused == [1, 2]
    assert problems.listed() == [
        "version 7 refuses log row 2: no 2",
        "version 8 refuses log row 6: no 6",
        "version 7 refuses log row 6: no 6",
    ]


def test_ask_no_longer_looks_for_the_row_of_a_batch_once_many_were_refused() -> None:
    problems, here = Problems(), Answering(lambda value: value >= 100)
    pair = pair_of(here, Answering(), problems)
    batches = [batch_of(n, n + 10) for n in range(0, 180, 10)]
    assert sum(one.batch.rows for one in pair.ask(batches)) == 100
    assert pair.refused == [80, 0]
    # While no more were refused than 20 and a tenth of the answered ones, row by row; then in what is left of
    # that batch, of 2, 3 and 5 rows, and in whole ones.
    assert here.asked.count(1) == 32
    assert problems.count == 32 + 2 + 4
    assert problems.listed()[0] == "version 8 refuses log row 100: no 100"
