"""How fast does it answer, and is that within the budget?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import numpy as np

from redraw.definition import Budget
from redraw.records import Check
from redraw.records.schema import ATTACHMENT_SCHEMA, SCHEMA
from redraw.serving import Latency, LoadedModel
from redraw.serving.errors import ServingFailure
from redraw.serving.requests import Request, count_rows, take_rows
from redraw.validate.outcome import conclude
from redraw.validate.subject.subject import Subject

_BATCH = 32
# A busy machine is not the model's fault: a measurement over budget is repeated up to so many times.
_TRIES = 3


def check_latency(subject: Subject) -> Check:
    """Measure requests of 1 and of 32 rows in the C++ runtime: the check `latency-budget`.

    The figures go into the attachment `latency.json` as well.
    """
    budget, problems, notes = subject.definition.budget, list[str](), list[str]()
    requests = {name: r for name, r in subject.golden_requests.items() if count_rows(r)}
    seconds = subject.resources.latency_seconds / max(1, 2 * len(requests))
    subject.settle()
    measured: dict[str, tuple[Latency, Latency]] = {}
    for name, request in requests.items():
        try:
            single, batch = measured[name] = _measure_within(subject.served, name, request, seconds, budget)
        except ServingFailure as err:
            problems.append(f"signature {name!r}: {err}")
            continue
        problems += (f"signature {name!r}: {excess}" for excess in _excesses(budget, single, batch))
        notes.append(f"{name!r}: {_format(single, batch)}{_live_figures(subject, name, request, seconds)}")
    if measured:
        subject.attachments["latency.json"] = encode_latency(measured)
    return conclude(
        "latency-budget",
        looked_at=f"requests of 1 and of {_BATCH} rows, one at a time, in TensorFlow's C++ runtime",
        expected=_bounds(budget) or "no budget declared",
        found="; ".join(notes) or "no signature has a batch dimension",
        problems=problems,
        advice="Serve a smaller network, validate on the hardware that serves the model, or raise the"
        " definition's budget.",
    )


def _measure_within(
    model: LoadedModel, name: str, request: Request, seconds: float, budget: Budget
) -> tuple[Latency, Latency]:
    for _ in range(_TRIES):
        single, batch = _measure(model, name, request, seconds)
        if not list(_excesses(budget, single, batch)):
            break
    return single, batch


def _measure(model: LoadedModel, name: str, request: Request, seconds: float) -> tuple[Latency, Latency]:
    rows = count_rows(request) or 1
    return (
        model.measure(name, take_rows(request, [0]), seconds),
        model.measure(name, take_rows(request, np.arange(_BATCH) % rows), seconds),
    )


def _excesses(budget: Budget, single: Latency, batch: Latency) -> Iterator[str]:
    if budget.p50_ms is not None and single.p50_ms > budget.p50_ms:
        yield f"p50 {single.p50_ms:.3g} ms"
    if budget.p99_ms is not None and single.p99_ms > budget.p99_ms:
        yield f"p99 {single.p99_ms:.3g} ms"
    if budget.rows_per_second is not None and batch.rows_per_second < budget.rows_per_second:
        yield f"{batch.rows_per_second:,.0f} rows a second"


def encode_latency(measured: Mapping[str, tuple[Latency, Latency]]) -> str:
    """The content of `latency.json`: signature name to the figures of each batch size.

    Times are in milliseconds; `runs` is the number of requests.
    """
    figures = {
        name: [
            {
                "rows": rows,
                "p50_ms": latency.p50_ms,
                "p95_ms": latency.p95_ms,
                "p99_ms": latency.p99_ms,
                "rows_per_second": latency.rows_per_second,
                "runs": latency.requests,
            }
            for rows, latency in zip((1, _BATCH), both, strict=True)
        ]
        for name, both in measured.items()
    }
    return json.dumps({SCHEMA: ATTACHMENT_SCHEMA, "signatures": figures}, indent=1, allow_nan=False)


def _bounds(budget: Budget) -> str:
    bounds = {
        "p50 at most {:g} ms": budget.p50_ms,
        "p99 at most {:g} ms": budget.p99_ms,
        "at least {:,.0f} rows a second": budget.rows_per_second,
    }
    return ", ".join(text.format(bound) for text, bound in bounds.items() if bound is not None)


def _format(single: Latency, batch: Latency) -> str:
    return (
        f"1 row p50 {single.p50_ms:.3g} ms, p99 {single.p99_ms:.3g} ms; {_BATCH} rows"
        f" p50 {batch.p50_ms:.3g} ms, p99 {batch.p99_ms:.3g} ms, {batch.rows_per_second:,.0f} rows a second"
    )


def _live_figures(subject: Subject, name: str, request: Request, seconds: float) -> str:
    """The live version's figures, if there is one; an error of it is noted, but fails no check."""
    if subject.live is None:
        return ""
    version = subject.live.release.version
    try:
        live = subject.live_served
        figures = _format(*_measure(live, name, request, seconds)) if live else "none"
    except ServingFailure as err:
        figures = f"not measured, {err}"
    return f" (live version {version}: {figures})"
