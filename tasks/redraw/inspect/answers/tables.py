"""Show the results of `redraw compare-answers` as tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from redraw.console import cell, open_console
from redraw.errors import printable
from redraw.records.results import AnswerComparison, ComparedMetrics, OutputDifference

_MOST_CHANGES, _MOST_SLICES, _MOST_EXAMPLES = 10, 20, 5


def print_answers(comparison: AnswerComparison) -> None:
    """Print a comparison to standard output: figures, changes, slices, metrics and examples."""
    console = open_console(highlight=False)
    here = "this export" if comparison.version is None else str(comparison.version)
    sources = ", ".join(f"{source.rows:,} of {source.name}" for source in comparison.sources)
    _print(
        console,
        f"{comparison.model}: {here} versus {comparison.other}, {comparison.rows:,} rows ({sources})",
        "bold",
    )
    if comparison.refused or comparison.refused_by_other:
        by_other = f"{comparison.refused_by_other:,} by {comparison.other}"
        _print(console, f"refused: {comparison.refused:,} rows, and {by_other}")
    headings = ["Output", "Rows", "Changed", "Largest", "Mean", "p50", "p90", "p99", "p99.9", "Not finite"]
    _print_table(console, headings, (_figures(output) for output in comparison.outputs))
    for output in comparison.outputs:
        _print_changes(console, output)
    cut = comparison.slices[:_MOST_SLICES]
    rows = ([f"{s.by} = {s.value}", f"{s.rows:,}", _shares(s.rows, s.changed)] for s in cut)
    _print_table(console, ["Slice", "Rows", "Changed"], rows)
    for metrics in comparison.metrics:
        _print_metrics(console, metrics)
    for text in comparison.left_out:
        _print(console, f"left out: {text}")


def _figures(output: OutputDifference) -> list[str]:
    quantiles = [_number(output.quantiles.get(name)) for name in ("p50", "p90", "p99", "p99.9")]
    name = f"{output.signature} {output.output} ({output.dtype})"
    changed = f"{output.changed:,} ({output.share:.2%})"
    figures = [_number(output.largest), _number(output.mean), *quantiles]
    return [name, f"{output.rows:,}", changed, *figures, f"{output.not_finite:,}"]


def _print_changes(console: Console, output: OutputDifference) -> None:
    if output.misfit:
        _print(console, f"{output.signature} {output.output}: {output.misfit}")
    changes = [change for change in output.classes if change.here != change.other][:_MOST_CHANGES]
    name = f"{output.signature} {output.output}"
    _print_table(
        console, [f"{name} was", "is now", "Rows"], ([c.other, c.here, f"{c.rows:,}"] for c in changes)
    )
    examples = output.examples[:_MOST_EXAMPLES]
    rows = ([e.row, _number(e.difference), e.inputs, e.other, e.here] for e in examples)
    _print_table(console, [f"{name}: row", "Difference", "Inputs", "Was", "Is now"], rows)


def _print_metrics(console: Console, metrics: ComparedMetrics) -> None:
    title = f"{metrics.signature}: metric of {metrics.measured:,} of {metrics.labelled:,} labelled rows"
    rows = [
        [
            metric.name,
            f"{_number(metric.here)} {_interval(metric.here_interval)}",
            f"{_number(metric.other)} {_interval(metric.other_interval)}",
            _interval(metric.difference_interval),
        ]
        for metric in metrics.metrics
    ]
    _print_table(console, [title, "Is now", "Was", "Difference"], rows)


def _print_table(console: Console, headings: list[str], rows: Iterable[list[Any]]) -> None:
    table = Table(*(escape(printable(heading)) for heading in headings))
    for row in rows:
        table.add_row(*(cell(str(value)) for value in row))
    if table.row_count:
        console.print(table)


def _print(console: Console, text: str, style: str = "") -> None:
    console.print(cell(text, style), soft_wrap=True)


def _shares(rows: int, changed: Any) -> str:
    return ", ".join(f"{name} {count / rows:.2%}" for name, count in changed.items())


def _interval(interval: tuple[float, ...]) -> str:
    return f"({interval[0]:.4g} to {interval[1]:.4g})" if interval else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
