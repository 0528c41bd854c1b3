"""Does the SavedModel answer like the unchanged graph that training recorded?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from redraw.checkpoint.catalogue.store import fetch_checkpoint
from redraw.definition import ConfiguredDefinition, ModelDefinition, RecordedDefinition
from redraw.errors import CheckpointMismatch
from redraw.records import Check
from redraw.serving.errors import ServingFailure
from redraw.serving.requests import Request, cast_request, generate_request, take_rows
from redraw.validate.checks.answers.parity import find_differences, largest_error
from redraw.validate.checks.behaviour.repeatable import declared_kinds
from redraw.validate.outcome import CannotRun, conclude
from redraw.validate.subject.subject import Subject

ROWS = 200
_BATCH = 32


class Answering(Protocol):
    """Answers the definition's requests: signature and inputs to outputs by name."""

    def answer(self, signature: str, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Output name to answers."""
        ...


def check_recorded_answers(subject: Subject) -> Check:
    """Compare 200 rows, asked alone, in batches and at once, with the untouched original: `recorded-answers`.

    The original is the recorded graph, or the file that Keras itself loads.
    """
    definition = subject.definition
    requests = {
        name: request
        for name, request in _generated(definition).items()
        if not declared_kinds(subject).get(name)
    }
    if not requests:
        raise CannotRun(
            "the definition declares that the answers of every signature vary (stateful_ops)",
            "Compare some answers by hand, then waive the check: --waive recorded-answers=REASON.",
        )
    problems, original, most = list[str](), "the original", 0.0
    try:
        reference, original = _original(subject)
        problems, most = compare_answers(reference, subject.served.answer, requests, definition.tolerance)
    except (CheckpointMismatch, ServingFailure) as err:
        problems.append(str(err))
    return conclude(
        "recorded-answers",
        looked_at=f"{ROWS} generated rows of {', '.join(sorted(requests))}, one by one, in batches of"
        f" {_BATCH} and all at once; and {original}",
        expected=f"the same answers, floats within {definition.tolerance:g}",
        found=f"the same; floats differ by {most:.3g} at most{_replaced(definition)}",
        problems=problems,
        advice="Run 'redraw draft' to list what was replaced and why. Choose other inputs, outputs or"
        " constants, or write the model as a definition.",
    )


def _generated(definition: ModelDefinition) -> dict[str, Request]:
    """Signature name to a request of `ROWS` generated rows."""
    signatures = definition.signatures
    if isinstance(definition, RecordedDefinition):
        made = definition.generate_examples(ROWS)
        return {name: cast_request(made[name].inputs, signatures[name].inputs) for name in made}
    return {name: generate_request(spec.inputs, ROWS) for name, spec in signatures.items()}


def _original(subject: Subject) -> tuple[Answering, str]:
    """The original to compare with, and a description of it."""
    definition = subject.definition
    if isinstance(definition, RecordedDefinition):
        reference, how = subject.reference
        redrawn = definition.redrawn
        return reference, f"{redrawn.graph.where}, unchanged ({redrawn.recorded} operations), {how}"
    # Imports Keras, which a recording does not need.
    from redraw.validate.subject.recording.keras_file import KerasFile

    if not isinstance(definition, ConfiguredDefinition):
        raise CannotRun("the definition names no recorded graph", "Run 'redraw validate' without this check.")
    path, _ = fetch_checkpoint(subject.checkpoint, subject.scratch / "original")
    return KerasFile(definition, path), f"{path.name}, loaded by Keras"


def _replaced(definition: ModelDefinition) -> str:
    if not isinstance(definition, RecordedDefinition):
        return ""
    done = ", ".join(f"{count} {what}" for what, count in definition.redrawn.counts.items() if count)
    return f"; replaced in the recorded graph: {done or 'nothing'}"


def compare_answers(
    reference: Answering,
    ask: Callable[[str, Request], Mapping[str, np.ndarray]],
    requests: Mapping[str, Request],
    tolerance: float,
) -> tuple[list[str], float]:
    """Compare answers to rows asked alone, in batches and at once with those of the untouched graph.

    Args:
        reference: The unchanged graph, restored.
        ask: The model that is compared with it: signature and request to answers.
        requests: Signature to a request of `ROWS` rows.
        tolerance: How much floats may differ.

    Returns:
        The differences in words, and the largest difference between floats.
    """
    expected = {name: reference.answer(name, request) for name, request in requests.items()}
    again = {name: reference.answer(name, request) for name, request in requests.items()}
    problems = [
        f"the answers of the recorded graph itself vary: {p} {w}"
        for p, w in find_differences(expected, again, 1e-6)
    ]
    most = 0.0
    for how, size in (("alone", 1), (f"in batches of {_BATCH}", _BATCH), ("at once", ROWS)):
        answers = {name: _in_parts(ask, name, request, size) for name, request in requests.items()}
        problems += [
            f"{how}, signature {signature!r}, output {output!r}: {what}"
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
