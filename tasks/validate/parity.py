"""Does the SavedModel answer as the checkpoint itself does?

Weights that the export forgot, swapped or took from elsewhere show up as different
answers, and so does a layer that serves as if it were trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from tasks.definition import ModelDefinition
from tasks.errors import CheckpointMismatch
from tasks.records import Check
from tasks.validate.reference import answer_from_checkpoint

if TYPE_CHECKING:
    from tasks.validate.subject import Subject

__all__ = ["check_golden_examples"]


def check_golden_examples(subject: Subject) -> Check:
    """Compare the server's answers to the golden examples with the checkpoint's: `golden-examples`.

    Integers and strings have to be equal, and floats within the definition's tolerance.
    """
    definition, answers = subject.definition, subject.golden_answers
    try:
        expected, restored = answer_from_checkpoint(definition, subject.checkpoint, subject.exported)
    except CheckpointMismatch as err:
        return _unlike(subject, err)
    differences = list(_differences(expected, answers, definition.tolerance))
    return Check(
        name="golden-examples",
        status="failed" if differences else "passed",
        looked_at=f"the answers to {_rows(definition)} golden examples, and those of {restored}",
        expected=f"the same answers, floats within {definition.tolerance:g}",
        found="; ".join(differences) or f"the same; {_largest(expected, answers)}",
        advice=(
            "Check that serve uses the network alone and that training=False reaches every layer."
            if differences
            else ""
        ),
    )


def _unlike(subject: Subject, error: CheckpointMismatch) -> Check:
    return Check(
        name="golden-examples",
        status="failed",
        looked_at=str(subject.folder),
        expected="the checkpoint's own answers to compare with",
        found=str(error),
        advice="Validate with the definition and the checkpoint that the export was made of.",
    )


def _differences(
    expected: Mapping[str, Mapping[str, np.ndarray]],
    answers: Mapping[str, Mapping[str, np.ndarray]],
    tolerance: float,
) -> Iterator[str]:
    for signature, outputs in expected.items():
        for output, want in outputs.items():
            got = answers[signature].get(output)
            if got is None or got.shape != want.shape or not _equal(want, got, tolerance):
                yield f"signature {signature!r}, output {output!r}: {_shown(want, got)}"


def _equal(want: np.ndarray, got: np.ndarray, tolerance: float) -> bool:
    if want.dtype.kind in "fc":
        return bool(np.allclose(got, want, rtol=tolerance, atol=tolerance))
    return bool(np.array_equal(got, want))


def _shown(want: np.ndarray, got: np.ndarray | None) -> str:
    if got is None:
        return "no such output"
    if got.shape != want.shape:
        return f"shape {list(got.shape)} instead of {list(want.shape)}"
    if want.dtype.kind in "fc":
        return f"differs by up to {np.max(np.abs(got - want)):.3g}"
    return f"{int(np.sum(got != want))} of {want.size} values differ"


def _largest(
    expected: Mapping[str, Mapping[str, np.ndarray]], answers: Mapping[str, Mapping[str, np.ndarray]]
) -> str:
    differences = [
        float(np.max(np.abs(answers[signature][output] - want), initial=0.0))
        for signature, outputs in expected.items()
        for output, want in outputs.items()
        if want.dtype.kind in "fc"
    ]
    return f"floats differ by {max(differences, default=0.0):.3g} at most"


def _rows(definition: ModelDefinition) -> int:
    return sum(len(next(iter(e.inputs.values()))) for e in definition.golden_examples().values())
