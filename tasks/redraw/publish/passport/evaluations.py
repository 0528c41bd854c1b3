"""The numbers in the records of a version's checks: metric, bound, value, sample size."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from redraw.records import Check, ValidationReport
from redraw.records.attachments import Latency
from redraw.records.report import PROOFS

Comparator = Literal[">=", "<=", "within"]

_NUMBER = r"(-?[0-9][0-9.,]*(?:e[-+]?[0-9]+)?)"
_BOUND = re.compile(rf" at (least|most) {_NUMBER}")
_BOUNDED = re.compile(rf"([^\s,]+)((?: at (?:least|most) {_NUMBER}){{1,2}})")
_VALUE = re.compile(rf"([^\s,]+) {_NUMBER}")
_TOLERANCE = re.compile(rf"the same answers, floats within {_NUMBER}")
_DIFFERENCE = re.compile(rf"the same; floats differ by {_NUMBER} at most")
_SAMPLE = re.compile(r"(?:the answers to )?([0-9]{1,18}) (?:generated )?(?:requests|rows)\b")
_BUDGETS = {
    "p50_ms": re.compile(rf"p50 (at most) {_NUMBER} ms"),
    "p99_ms": re.compile(rf"p99 (at most) {_NUMBER} ms"),
    "rows_per_second": re.compile(rf"(at least) {_NUMBER} rows a second"),
}
_COMPARATORS: Mapping[str, Comparator] = {"least": ">=", "at least": ">=", "most": "<=", "at most": "<="}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A number that a check compared; without numbers, only the check.

    Attributes:
        check: The check, with what it looked at, expected and found, in words.
        metric: The measured quantity.
        comparator: How the value and the threshold compare; `within`: floats, absolute and relative.
        threshold: The bound.
        value: The measured value.
        sample_size: The number of requests or rows that were measured.
        part: For a latency, the signature and the rows of a request.
    """

    check: Check
    metric: str | None = None
    comparator: Comparator | None = None
    threshold: float | None = None
    value: float | None = None
    sample_size: int | None = None
    part: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the check passed; a waived check did not."""
        return self.check.status == "passed"


def evaluate_checks(
    report: ValidationReport, latencies: Mapping[str, tuple[Latency, ...]]
) -> tuple[Evaluation, ...]:
    """Every check of a report, in order, with each of its numbers.

    Args:
        report: The validation report.
        latencies: Signature to the measurements for each size of requests; empty if there are none.
    """
    return tuple(
        evaluation
        for check in report.checks
        for evaluation in list(_figures(check, latencies)) or [Evaluation(check=check)]
    )


def _figures(check: Check, latencies: Mapping[str, tuple[Latency, ...]]) -> Iterator[Evaluation]:
    if check.status == "not_run":
        return
    if check.name == "metric-thresholds":
        yield from _metrics(check)
    elif check.name == "latency-budget":
        yield from _latencies(check, latencies)
    elif check.name in PROOFS and (bound := _TOLERANCE.fullmatch(check.expected)):
        difference, sample = _DIFFERENCE.match(check.found), _SAMPLE.match(check.looked_at)
        yield Evaluation(
            check=check,
            metric="largest_difference",
            comparator="within",
            threshold=_number(bound[1]),
            value=_number(difference[1]) if difference else None,
            sample_size=int(sample[1]) if sample else None,
        )


def _metrics(check: Check) -> Iterator[Evaluation]:
    parts = [_VALUE.fullmatch(part) for part in check.found.split(", ")]
    values = {match[1]: _number(match[2]) for match in parts if match}
    for part in check.expected.split(", "):
        if not (bounded := _BOUNDED.fullmatch(part)):
            continue
        for bound in _BOUND.finditer(bounded[2]):
            yield Evaluation(
                check=check,
                metric=bounded[1],
                comparator=_COMPARATORS[bound[1]],
                threshold=_number(bound[2]),
                value=values.get(bounded[1]),
            )


def _latencies(check: Check, latencies: Mapping[str, tuple[Latency, ...]]) -> Iterator[Evaluation]:
    """Times are compared for the smallest request, and rows per second for the largest, as in the check."""
    for name, sizes in sorted(latencies.items()):
        for metric, pattern in _BUDGETS.items():
            if not sizes or not (bound := pattern.search(check.expected)):
                continue
            pick = max if metric == "rows_per_second" else min
            latency = pick(sizes, key=lambda size: size.rows)
            yield Evaluation(
                check=check,
                metric=metric,
                comparator=_COMPARATORS[bound[1]],
                threshold=_number(bound[2]),
                value=getattr(latency, metric),
                sample_size=latency.runs,
                part=f"signature {name}, {latency.rows} rows",
            )


def _number(text: str) -> float | None:
    """A number as checks write it; None if the text is no finite number."""
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
