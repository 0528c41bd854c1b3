"""Every way to write one network, redrawn and compared in numbers; a sample unless all are asked for."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from redraw.validate.subject.recording.untouched import UntouchedReference
from tests.redraw.recorded.asking import ask, definition_of, request_of
from tests.redraw.recorded.old_graphs import Case, every_case, expected, record

_ALL = every_case()
# A prime step through all of them meets every value of every factor, and most pairs.
_CASES = _ALL if os.environ.get("REDRAW_TEST_CORPUS") == "all" else _ALL[::29]
_TOLERANCE = 3e-6


def test_sample_has_every_value_of_every_factor() -> None:
    for factor in Case.__dataclass_fields__:
        assert {getattr(case, factor) for case in _CASES} == {getattr(case, factor) for case in _ALL}


@pytest.mark.parametrize("case", _CASES, ids=str)
def test_redraw_answers_as_numpy_does_from_the_checkpoint(case: Case, tmp_path: Path) -> None:
    recorded = record(case, tmp_path)
    definition = definition_of(recorded)
    request = request_of(recorded, 7)

    answers = ask(definition, recorded, request)["probabilities"]
    wanted = expected(case, recorded, request)

    np.testing.assert_allclose(answers, wanted, atol=_TOLERANCE)
    reference = UntouchedReference(definition, "raw")
    reference.restore(recorded.prefix)
    np.testing.assert_allclose(
        reference.answer("serving_default", request)["probabilities"], wanted, atol=_TOLERANCE
    )
    reference.close()
    left = {definition.redrawn.graph.nodes[name].op for name in _reached(definition)}
    assert not {op for op in left if "Random" in op or "Queue" in op or op == "IteratorGetNext"}


def _reached(definition: object) -> list[str]:
    redrawn = definition.redrawn  # type: ignore[attr-defined]
    return list(redrawn.graph.reach(redrawn.outputs.values()))
