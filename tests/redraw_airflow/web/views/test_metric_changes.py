from __future__ import annotations

from dataclasses import replace

import pytest

from redraw_airflow.web.views.metric_changes import MetricRow, compare_metrics
from tests.redraw_airflow.web.publications import checkpoint_record

NAN = float("nan")


@pytest.mark.parametrize(
    ("here", "there", "lower", "verdict"),
    [
        (0.9, 0.8, False, "better"),
        (0.8, 0.9, False, "worse"),
        (0.9, 0.8, True, "worse"),
        (0.8, 0.9, True, "better"),
        (0.9, 0.9, False, "same"),
        (0.9, 0.9, True, "same"),
        (NAN, 0.9, False, ""),
        (0.9, NAN, True, ""),
        (NAN, NAN, False, ""),
        (None, 0.9, False, ""),
        (0.9, None, True, ""),
    ],
)
def test_verdict_of_two_values(here: float | None, there: float | None, lower: bool, verdict: str) -> None:
    assert MetricRow(name="m", here=here, there=there, lower_is_better=lower).verdict == verdict


def test_compare_has_every_metric_of_either_checkpoint_by_name() -> None:
    plain = replace(checkpoint_record("mnist"), lower_is_better=("error",))
    here = replace(plain, metrics={"loss": 0.5, "error": 0.1, "average_error": 0.2})
    there = replace(plain, metrics={"loss": 0.25, "accuracy": 0.9}, lower_is_better=())
    rows = compare_metrics(here, there)
    assert [(row.name, row.here, row.there, row.lower_is_better) for row in rows] == [
        ("accuracy", None, 0.9, False),
        ("average_error", 0.2, None, True),
        ("error", 0.1, None, True),
        ("loss", 0.5, 0.25, True),
    ]
    assert [row.difference for row in rows] == [None, None, None, 0.25]
