"""Metrics of two versions by the labelled rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from redraw.definition import Threshold
from redraw.inspect.answers.batches import RequestBatch
from redraw.inspect.answers.metrics import LabelledRows, lower_is_better
from redraw.inspect.answers.pair import AnsweredBatch
from tests.sample_models.line_module import LineDefinition


class Measured(LineDefinition):
    thresholds = {
        "loss": Threshold(at_least=0.0),
        "figure": Threshold(at_most=1.0),
        "share_of_error": Threshold(at_least=0.0, at_most=1.0),
    }

    def served_metrics(
        self, signature: str, outputs: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray]
    ) -> Mapping[str, float]:
        right = outputs["y"] == labels["y"]
        found = {"accuracy": right.mean(), "rows": len(right), "odd": np.nan}
        return found if right.any() else {name: found[name] for name in ("accuracy", "odd")}


@pytest.mark.parametrize(
    ("name", "lower"),
    [
        ("mean_error", True),
        ("val_loss", True),
        ("accuracy", False),
        ("loss", False),
        ("figure", True),
        ("share_of_error", False),
    ],
)
def test_lower_is_better_by_the_bound_or_the_name(name: str, lower: bool) -> None:
    assert lower_is_better(Measured(), name) == lower


def answered(here: list[Any], other: list[Any], labels: list[Any]) -> AnsweredBatch:
    batch = RequestBatch(
        source="log", signature="s", inputs={}, unit="row", numbers=np.arange(len(here)),
        labels={"y": np.array(labels, object if isinstance(labels[0], bytes) else None)},
    )  # fmt: skip
    sides = [{"y": np.array(side, object if isinstance(side[0], bytes) else None)} for side in (here, other)]
    return AnsweredBatch(batch, *sides)


def test_labelled_rows_of_one_form_are_measured_with_what_chance_would_move() -> None:
    rows = LabelledRows()
    rows.add(answered([1, 2, 3, 4], [1, 0, 0, 0], [1, 2, 3, 5]))
    rows.add(answered([1, 2, 3, 4], [1, 0, 0, 0], [1.0, 2.0, 3.0, 5.5]))  # whole numbers or not
    rows.add(answered([1, 2, 3], [1, 2, 3], [[1], [2], [3]]))
    rows.add(answered([b"a"], [b"a"], [b"a"]))
    found = rows.measure(Measured(), "s")
    assert rows.left_out == 4
    assert (found.signature, found.labelled, found.measured) == ("s", 8, 8)
    accuracy, odd, count = found.metrics
    assert (accuracy.name, accuracy.here, accuracy.other) == ("accuracy", 0.75, 0.25)
    for interval, value in (
        (accuracy.here_interval, 0.75),
        (accuracy.other_interval, 0.25),
        (accuracy.difference_interval, 0.5),
    ):
        low, high = interval
        assert value - 0.5 < low < value < high < value + 0.5
    assert (odd.here, odd.other, odd.here_interval) == (None, None, ())
    assert (count.name, count.here, count.other) == ("rows", 8.0, 8.0)
    assert (accuracy.lower_is_better, count.lower_is_better) == (False, False)


def test_labelled_texts_are_measured() -> None:
    rows = LabelledRows()
    rows.add(answered([b"a", b"bb"], [b"c", b"c"], [b"a", b"bb"]))
    found = rows.measure(Measured(), "s")
    # A metric that only one of both has cannot be compared.
    assert [(metric.name, metric.here, metric.other) for metric in found.metrics] == [
        ("accuracy", 1.0, 0.0),
        ("odd", None, None),
    ]
