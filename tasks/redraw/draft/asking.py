"""Ask a person at a terminal where a draft is undecided: the candidates are ranked, with their evidence."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from redraw.draft.choosing import Undecided
from redraw.errors import InvalidRequest, printable

_SAID = {
    "output": "What answers?",
    "input": "Where does a request enter?",
    "shape": "What is the shape of {about}, the batch first, with ? for any size, such as ?,10?",
    "set": "What is {about} when it serves?",
}


def ask_person(undecided: Undecided) -> tuple[str, tuple[str, ...]]:
    """Ask until there is an answer.

    Args:
        undecided: What is to be chosen.

    Returns:
        The request's field, and its values as they would be given by flags. A shape comes with all inputs.

    Raises:
        InvalidRequest: There is no terminal, or no answer.
    """
    if not sys.stdin.isatty():
        raise InvalidRequest(f"interactive: expected a terminal, got none. {undecided}")
    if undecided.kind == "shape":
        shape = _answer(undecided, ())[0]
        return "input", tuple(
            f"{asked}[{shape}]" if asked.partition("=")[0] == undecided.about else asked
            for asked, _ in undecided.candidates
        )
    chosen = _answer(undecided, undecided.candidates)
    if undecided.kind == "set":
        return "set", (f"{undecided.about}={chosen[0]}",)
    return undecided.kind, chosen


def _answer(undecided: Undecided, candidates: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    several = undecided.kind in ("output", "input")
    _say(f"\n{_SAID[undecided.kind].format(about=undecided.about)}\n")
    for number, (value, evidence) in enumerate(candidates, start=1):
        _say(f"  {number}  {value}  ({evidence})\n")
    while True:
        _say("Numbers, with commas between, or names: " if several else "> ")
        line = sys.stdin.readline()
        if not line:
            raise InvalidRequest(f"interactive: expected an answer, got none. {undecided}")
        given = [part.strip() for part in (line.split(",") if several else [line]) if part.strip()]
        numbers = [int(part) for part in given if part.isdecimal()] if candidates else []
        if given and all(1 <= number <= len(candidates) for number in numbers):
            return tuple(candidates[int(p) - 1][0] if candidates and p.isdecimal() else p for p in given)


def _say(text: str) -> None:
    sys.stderr.write("\n".join(map(printable, text.split("\n"))))
    sys.stderr.flush()
