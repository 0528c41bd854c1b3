"""Show people what `compare-answers` found."""

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


def print_answers(found: AnswerComparison) -> None:
    """Print a comparison to standard output: figures first, then changes, slices, metrics and examples."""
    console = open_console(highlight=False)
    here = "this export" if found.version is None else str(found.version)
    sources = ", ".join(f"{source.rows:,} of {source.name}" for source in found.sources)
    _say(console, f"{found.model}: {here} versus {found.other}, {found.rows:,} rows ({sources})", "bold")
    if found.refused or found.refused_by_other:
        _say(console, f"refused: {found.refused:,} rows, and {found.refused_by_other:,} by {found.other}")
    headings = ["Output", "Rows", "Changed", "Largest", "Mean", "p50", "p90", "p99", "p99.9", "Not finite"]
    _show(console, headings, (_figures(output) for output in found.outputs))
    for output in found.outputs:
        _show_changes(console, output)
    cut = found.slices[:_MOST_SLICES]
    rows = ([f"{s.by} = {s.value}", f"{s.rows:,}", _shares(s.rows, s.changed)] for s in cut)
    _show(console, ["Slice", "Rows", "Changed"], rows)
    for metrics in found.metrics:
        _show_metrics(console, metrics)
    for text in found.left_out:
        _say(console, f"left out: {text}")


def _figures(output: OutputDifference) -> list[str]:
    quantiles = [_number(output.quantiles.get(name)) for name in ("p50", "p90", "p99", "p99.9")]
    name = f"{output.signature} {output.output} ({output.dtype})"
    changed = f"{output.changed:,} ({output.share:.2%})"
    figures = [_number(output.largest), _number(output.mean), *quantiles]
    return [name, f"{output.rows:,}", changed, *figures, f"{output.not_finite:,}"]


def _show_changes(console: Console, output: OutputDifference) -> None:
    if output.misfit:
        _say(console, f"{output.signature} {output.output}: {output.misfit}")
    changes = [change for change in output.classes if change.here != change.other][:_MOST_CHANGES]
    name = f"{output.signature} {output.output}"
    _show(console, [f"{name} was", "is now", "Rows"], ([c.other, c.here, f"{c.rows:,}"] for c in changes))
    examples = output.examples[:_MOST_EXAMPLES]
    rows = ([e.row, _number(e.difference), e.inputs, e.other, e.here] for e in examples)
    _show(console, [f"{name}: row", "Difference", "Inputs", "Was", "Is now"], rows)


def _show_metrics(console: Console, found: ComparedMetrics) -> None:
    title = f"{found.signature}: metric of {found.measured:,} of {found.labelled:,} labelled rows"
    rows = [
        [
            metric.name,
            f"{_number(metric.here)} {_interval(metric.here_interval)}",
            f"{_number(metric.other)} {_interval(metric.other_interval)}",
            _interval(metric.difference_interval),
        ]
        for metric in found.metrics
    ]
    _show(console, [title, "Is now", "Was", "Difference"], rows)


def _show(console: Console, headings: list[str], rows: Iterable[list[Any]]) -> None:
    table = Table(*(escape(printable(heading)) for heading in headings))
    for row in rows:
        table.add_row(*(cell(str(value)) for value in row))
    if table.row_count:
        console.print(table)


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(cell(text, style), soft_wrap=True)


def _shares(rows: int, changed: Any) -> str:
    return ", ".join(f"{name} {count / rows:.2%}" for name, count in changed.items())


def _interval(interval: tuple[float, ...]) -> str:
    return f"({interval[0]:.4g} to {interval[1]:.4g})" if interval else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
