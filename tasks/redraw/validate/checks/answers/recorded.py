"""Does the SavedModel answer as the graph does that training recorded, untouched?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from redraw.definition import RecordedDefinition
from redraw.errors import CheckpointMismatch
from redraw.records import Check
from redraw.serving.errors import ServingFailure
from redraw.validate.checks.answers.parity import find_differences, largest_error
from redraw.validate.checks.behaviour.declared import declared_kinds
from redraw.validate.outcome import CannotRun, conclude
from redraw.validate.subject.requests import Request, cast_request, take_rows

if TYPE_CHECKING:
    from redraw.validate.subject.reference import Reference
    from redraw.validate.subject.subject import Subject

__all__ = ["ROWS", "check_recorded_answers", "compare_answers"]

ROWS = 200
_BATCH = 32


def check_recorded_answers(subject: Subject) -> Check:
    """Compare 200 rows, asked alone, in batches and at once, with the recorded graph: `recorded-answers`."""
    definition = subject.definition
    if not isinstance(definition, RecordedDefinition):
        raise CannotRun("the definition names no recording", "Leave the check out.")
    requests = {
        name: cast_request(examples.inputs, definition.signatures[name].inputs)
        for name, examples in definition.generate_examples(ROWS).items()
        if not declared_kinds(subject).get(name)
    }
    if not requests:
        raise CannotRun(
            "every signature is declared to answer another thing each time (stateful_ops)",
            "Compare some answers by hand, then waive it: --waive recorded-answers=REASON.",
        )
    problems, how, most = list[str](), "the recorded graph", 0.0
    try:
        reference, how = subject.reference
        problems, most = compare_answers(reference, subject.served.answer, requests, definition.tolerance)
    except (CheckpointMismatch, ServingFailure) as err:
        problems.append(str(err))
    redrawn = definition.redrawn
    return conclude(
        "recorded-answers",
        looked_at=f"{ROWS} generated rows of {', '.join(sorted(requests))}, asked alone, in batches of"
        f" {_BATCH}, at once; and {redrawn.graph.where}, untouched ({redrawn.recorded} operations), {how}",
        expected=f"the same answers, floats within {definition.tolerance:g}",
        found=f"the same; floats differ by {most:.3g} at most; in the recording's place:"
        f" {_replaced(redrawn.counts)}",
        problems=problems,
        advice="See what was replaced, and by which evidence (redraw draft); choose other inputs, outputs or"
        " constants, or write the model as a definition.",
    )


def _replaced(counts: Mapping[str, int]) -> str:
    return (
        ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        or "nothing had to be replaced"
    )


def compare_answers(
    reference: Reference,
    ask: Callable[[str, Request], Mapping[str, np.ndarray]],
    requests: Mapping[str, Request],
    tolerance: float,
) -> tuple[list[str], float]:
    """Compare answers to rows asked alone, in batches and at once with those of the untouched graph.

    Args:
        reference: The untouched graph, restored.
        ask: What is compared with it: signature and request to answers.
        requests: Signature to a request of `ROWS` rows.
        tolerance: How much floats may differ.

    Returns:
        What differs, and how much floats differ at most.
    """
    expected = {name: reference.answer(name, request) for name, request in requests.items()}
    again = {name: reference.answer(name, request) for name, request in requests.items()}
    problems = [
        f"the recorded graph itself varies: {p} {w}" for p, w in find_differences(expected, again, 1e-6)
    ]
    most = 0.0
    for asked, size in (("alone", 1), (f"in batches of {_BATCH}", _BATCH), ("at once", ROWS)):
        answers = {name: _in_parts(ask, name, request, size) for name, request in requests.items()}
        problems += [
            f"{asked}, signature {signature!r}, output {output!r}: {what}"
            for (signature, output), what in find_differences(expected, answers, tolerance)
        ]
        most = max(most, largest_error(expected, answers))
    return problems, most


def _in_parts(
    ask: Callable[[str, Request], Mapping[str, np.ndarray]], name: str, request: Request, size: int
) -> dict[str, np.ndarray]:
    parts = [
        ask(name, take_rows(request, range(start, min(start + size, ROWS)))) for start in range(0, ROWS, size)
    ]
    return {output: np.concatenate([part[output] for part in parts]) for output in parts[0]}
