"""What clients of every protocol have in common."""

from __future__ import annotations

import numpy as np
import pytest

from redraw.records import TensorSpec
from redraw.rollout.client import Look, Question, judge_versions

SEVEN = range(1, 8)


@pytest.mark.parametrize(
    ("states", "look"),
    [
        ({7: ("AVAILABLE", "")}, Look(state="loaded", received="version 7 loaded", versions=(7,))),
        (
            {9: ("AVAILABLE", ""), 7: ("AVAILABLE", "of before")},
            Look(state="loaded", received="version 7 loaded", versions=(7, 9)),
        ),
        ({7: ("START", "")}, Look(state="loading", received="version 7 loading")),
        (
            {7: ("LOADING", "again"), 6: ("AVAILABLE", "")},
            Look(state="loading", received="version 7 loading", versions=(6,)),
        ),
        (
            {7: ("END", "no room"), 6: ("AVAILABLE", "")},
            Look(state="load_failed", received="version 7 failed to load: no room", versions=(6,)),
        ),
        ({7: ("END", "")}, Look(state="other_version", received="no version loaded")),
        ({7: ("UNLOADING", "no room")}, Look(state="other_version", received="no version loaded")),
        ({6: ("END", "no room")}, Look(state="other_version", received="no version loaded")),
        (
            {number + 10: ("AVAILABLE", "") for number in reversed(SEVEN)},
            Look(
                state="other_version",
                received="version 13, 14, 15, 16, 17 loaded",
                versions=tuple(number + 10 for number in SEVEN),
            ),
        ),
    ],
)
def test_judge_versions_says_what_there_is_in_place_of_the_version(
    states: dict[int, tuple[str, str]], look: Look
) -> None:
    assert judge_versions(7, states) == look


def test_most_bytes_of_an_answer_leave_room_for_its_longest_form() -> None:
    outputs = {"word": np.array([b"ab", b"c"], object), "score": np.float32([[1, 2], [3, 4]])}
    specs = {name: TensorSpec("float32", None) for name in outputs}
    question = Question(signature="s", inputs={}, outputs=outputs, specs=specs)
    assert question.most_bytes == (1 << 20) + 3 * 6 + 4 * 40
