"""Does the C++ loader take it, and does every signature answer as it promises? And in which sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from redraw.checkpoint.bundle.dtypes import name_of_array, numpy_dtype
from redraw.records import Check
from redraw.serving.errors import ServingFailure
from redraw.validate.outcome import conclude

if TYPE_CHECKING:
    import numpy as np

    from redraw.records.signature import TensorSpec
    from redraw.validate.subject.subject import Subject


def check_loads(subject: Subject) -> Check:
    """Load the export as a server would, and send each signature its golden examples: the check `loads`."""
    found = ""
    try:
        problems = [*_misfits(subject)]
        generated = subject.standard.generated_requests
        labels = {name: f"{name} (generated requests)" for name in generated}
        names = ", ".join(labels.get(name, name) for name in sorted(subject.golden_answers))
        found = (
            f"loaded in {subject.served.load_seconds:.2f} s, {subject.served.sandbox}; answers from {names}"
        )
    except ServingFailure as err:
        problems = [str(err)]
    return conclude(
        "loads",
        looked_at=f"{subject.folder}, in a process of TensorFlow's C++ runtime",
        expected="the C++ loader takes it with the tag 'serve', and each signature answers its golden"
        " examples, or generated requests if it has none, with the outputs, dtypes and shapes that it"
        " promises",
        found=found,
        problems=problems,
        advice="Export again; if it fails again, correct the definition's serve. A signature that refuses a"
        " generated request needs golden examples of its own.",
    )


def _misfits(subject: Subject) -> Iterator[str]:
    """What is answered otherwise than the definition says."""
    for name, answers in subject.golden_answers.items():
        promised = subject.definition.signatures[name].outputs
        for output in sorted(set(promised) | set(answers)):
            where = f"signature {name!r}, output {output!r}"
            if output not in answers or output not in promised:
                yield f"{where}: {'missing' if output in promised else 'not in the definition'}"
            elif not _fits(answers[output], promised[output]):
                got = f"{name_of_array(answers[output])} {list(answers[output].shape)}"
                yield f"{where}: expected {promised[output]}, got {got}"


def _fits(answer: np.ndarray, promised: TensorSpec) -> bool:
    sizes = zip(answer.shape, promised.shape, strict=False)
    return (
        answer.dtype == numpy_dtype(promised.dtype)
        and answer.ndim == len(promised.shape)
        and all(want in (None, got) for got, want in sizes)
    )
