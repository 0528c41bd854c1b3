"""Does the same request get the same answer? Dropout and sampling do not give it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redraw.inspect.answers.comparing import difference
from redraw.records import Check
from redraw.serving.errors import ServingFailure
from redraw.serving.requests import Request, take_rows
from redraw.validate.checks.behaviour.declared import declared_kinds
from redraw.validate.outcome import conclude

if TYPE_CHECKING:
    from redraw.validate.subject.subject import Subject

_TIMES = 2


def check_repeatable(subject: Subject) -> Check:
    """Ask the golden examples again, and once more after other requests: the check `repeatable`."""
    requests, declared = subject.golden_requests, declared_kinds(subject)
    problems, admitted = list[str](), list[str]()
    for turn in range(1, _TIMES + 1):
        for name, request in requests.items():
            found = [f"on request {turn + 1}, {problem}" for problem in _ask(subject, name, request)]
            if found and declared.get(name):
                admitted.append(f"{name!r} varies each time, as its {', '.join(declared[name])} may")
            elif found:
                problems += found
    return conclude(
        "repeatable",
        looked_at=f"the answers of {', '.join(requests)} to the same requests, {_TIMES + 1} times each",
        expected="the same answer each time",
        found="; ".join(dict.fromkeys(admitted)) or "the same answer each time",
        problems=problems,
        advice="Draw no dropout or other random operation for Mode.SERVE; of a model that samples,"
        " declare the kinds of its random operations in stateful_ops.",
    )


def _ask(subject: Subject, name: str, request: Request) -> list[str]:
    """What differs from the first answer, after a request of another size."""
    try:
        subject.served.answer(name, take_rows(request, [0]))
        answer = subject.served.answer(name, request)
    except ServingFailure as err:
        return [f"signature {name!r}: {err}"]
    differences = (
        (o, difference(first, answer[o], 0.0)) for o, first in subject.golden_answers[name].items()
    )
    return [f"signature {name!r}, output {output!r}: {what}" for output, what in differences if what]
