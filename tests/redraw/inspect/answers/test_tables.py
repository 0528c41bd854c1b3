"""What people see of a comparison of answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from redraw.inspect.answers.tables import print_answers
from redraw.names import ModelName
from redraw.records.results import (
    AnswerComparison,
    AnswerSlice,
    ComparedMetrics,
    DifferingAnswer,
    MeasuredTwice,
    OutputDifference,
    RequestSource,
    ValueChange,
)

_OUTPUT = OutputDifference(
    signature="serve",
    output="topic",
    dtype="string",
    rows=2000,
    changed=30,
    largest=2.5,
    mean=0.25,
    quantiles={"p50": 0.0, "p99.9": 2.25},
    not_finite=1,
    classes=(
        ValueChange(here="a", other="a", rows=9),
        *(ValueChange(here=f"h{n}", other="o", rows=9) for n in range(11)),
    ),
    examples=tuple(
        DifferingAnswer(row=f"row {n}", difference=None, inputs={"x": n}, here=1, other=2) for n in range(6)
    ),
    misfit="shape [8] instead of [7]",
)
_FOUND = AnswerComparison(
    model=ModelName("words"),
    version=None,
    other=7,
    tolerance=0.0,
    rows=2000,
    sources=(RequestSource(name="golden", rows=2000),),
    outputs=(_OUTPUT,),
    slices=tuple(
        AnswerSlice(signature="serve", by="country", value=f"c{n:02}", rows=1200, changed={"topic": 30})
        for n in range(21)
    ),
    metrics=(
        ComparedMetrics(
            signature="serve",
            labelled=1500,
            measured=1000,
            metrics=(
                MeasuredTwice(
                    name="accuracy", here=0.5, here_interval=(0.25, 0.75), other=None, other_interval=(),
                    difference_interval=(-0.125, 0.5), lower_is_better=False,
                ),
            ),
        ),
    ),
    left_out=("output 'score'",),
)  # fmt: skip


def test_print_answers_shows_figures_changes_slices_metrics_and_what_was_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_answers(_FOUND)
    printed = capsys.readouterr().out
    cells = [
        [cell.strip() for cell in line.strip("│┃ ").replace("┃", "│").split("│")]
        for line in printed.splitlines()
    ]
    assert cells[0] == ["words: this export versus 7, 2,000 rows (2,000 of golden)"]
    assert ["serve topic (string)", "2,000", "30 (1.50%)", "2.5", "0.25", "0", "", "", "2.25", "1"] in cells
    assert ["serve topic: shape [8] instead of [7]"] in cells
    assert ["serve topic was", "is now", "Rows"] in cells
    assert [row[1] for row in cells if row[0] == "o"] == [f"h{n}" for n in range(10)]
    assert ["row 4", "", "{'x': 4}", "2", "1"] in cells
    assert "row 5" not in printed
    assert ["country = c19", "1,200", "topic 2.50%"] in cells
    assert "c20" not in printed
    assert ["serve: metric of 1,000 of 1,500 labelled rows", "Is now", "Was", "Difference"] in cells
    assert ["accuracy", "0.5 (0.25 to 0.75)", "", "(-0.125 to 0.5)"] in cells
    assert cells[-1] == ["left out: output 'score'"]
    assert "refused" not in printed


@pytest.mark.parametrize(("refused", "by_other"), [(3, 0), (0, 4)])
def test_print_answers_says_how_many_rows_were_refused(
    refused: int, by_other: int, capsys: pytest.CaptureFixture[str]
) -> None:
    print_answers(replace(_FOUND, version=8, refused=refused, refused_by_other=by_other))
    first, second = capsys.readouterr().out.splitlines()[:2]
    assert first.startswith("words: 8 versus 7, ")
    assert second == f"refused: {refused} rows, and {by_other} by 7"
