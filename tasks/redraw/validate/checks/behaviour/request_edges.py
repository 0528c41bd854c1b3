"""What do requests at the edges do to the server?"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from redraw.inspect.answers.comparing import is_float
from redraw.records import Check
from redraw.serving.errors import RequestRefused, ServingFailure
from redraw.validate.checks.behaviour.edge_cases import EdgeCase, Wanted, edge_cases
from redraw.validate.outcome import conclude

if TYPE_CHECKING:
    from redraw.validate.subject.subject import Subject

# Errors that blame the request. Others (INTERNAL, RESOURCE_EXHAUSTED, …) blame the model. Whether a
# string is an image, or a number an index, only the model knows: it may refuse the one that is not.
_CLEAN = ("INVALID_ARGUMENT", "OUT_OF_RANGE", "FAILED_PRECONDITION", "DATA_LOSS")


def check_request_edges(subject: Subject) -> Check:
    """Ask what no golden example asks, one request at a time: the check `request-edges`.

    If a request ends the process, that is the finding, and a new process gets the next request.
    """
    signatures, problems, outcomes = subject.definition.signatures, list[str](), Counter[str]()
    for name, golden in subject.golden_requests.items():
        for case in edge_cases(golden, signatures[name].inputs):
            outcome, problem = _ask(subject, name, case)
            outcomes[outcome] += 1
            if problem:
                problems.append(f"signature {name!r}, {case.name}: {problem}")
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    return conclude(
        "request-edges",
        looked_at="batches of 0, 1 and 257 rows; empty, huge and malformed strings; NaN, infinity and"
        " the extremes of each dtype; wrong dtypes, ranks and dimensions",
        expected="answers, or errors that blame the request; errors for what does not fit the signature",
        found=f"{counts}, none of them a crash" if counts else "no signature has rows",
        problems=problems,
        advice="Change serve so that it answers or refuses such requests. An export of Redraw refuses wrong"
        " shapes by itself (tf.ensure_shape): if this one does not, export it again.",
    )


def _ask(subject: Subject, name: str, case: EdgeCase) -> tuple[str, str]:
    """What came of a request, and what is wrong with that."""
    try:
        answer = subject.served.answer(name, case.request)
    except RequestRefused as err:
        right = case.wanted is Wanted.ERROR or (case.wanted is Wanted.EITHER and err.code in _CLEAN)
        return "refused", "" if right else f"expected {case.wanted.value}, got {err}"
    except ServingFailure as err:
        return "died", str(err)
    return "answered", _wrong(case, answer)


def _wrong(case: EdgeCase, answer: dict[str, np.ndarray]) -> str:
    if case.wanted is Wanted.ERROR:
        shapes = ", ".join(f"{output} {list(values.shape)}" for output, values in answer.items())
        return f"expected an error, got an answer: {shapes}"
    for output, values in answer.items():
        if values.ndim == 0 or len(values) != case.rows:
            return f"expected {case.rows} rows in {output!r}, got shape {list(values.shape)}"
        if case.wanted is Wanted.ANSWER and is_float(values.dtype) and np.isnan(values).any():
            return f"expected numbers in {output!r}, got NaN"
    return ""
