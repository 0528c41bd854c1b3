"""The answers compared with the live version's: what has nothing to compare, without a model."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from redraw.definition import GoldenExamples, Signature, TensorSpec
from redraw.validate.checks.answers.live_answers import check_live_answers
from redraw.validate.outcome import CannotRun

SIGNATURE = Signature(
    inputs={"x": TensorSpec(shape=(None,), dtype="float32")},
    outputs={"y": TensorSpec(shape=(None,), dtype="float32")},
)
SIGNATURES = {"exact": SIGNATURE, "sampled": SIGNATURE}
REQUEST = {"x": np.array([1.0, 2.0], np.float32)}


def subject(**change: Any) -> Any:
    """What the check asks of a subject, whose two versions answer alike."""
    graph = {"exact": ["Mul"], "sampled": ["Mul", "RandomUniform"]}
    answering = {
        name: SimpleNamespace(nodes={str(number): SimpleNamespace(op=op) for number, op in enumerate(ops)})
        for name, ops in graph.items()
    }
    answers = dict.fromkeys(SIGNATURES, {"y": REQUEST["x"]})
    values = {
        "definition": SimpleNamespace(stateful_ops=(), max_changed={}, change_tolerance=0.01),
        "exported": SimpleNamespace(model="sums", signatures=SIGNATURES),
        "live": SimpleNamespace(release=SimpleNamespace(version=7, signatures=SIGNATURES)),
        "graph": SimpleNamespace(answering=answering),
        "live_served": SimpleNamespace(answer=lambda signature, inputs: {"y": inputs["x"]}),
        "resources": SimpleNamespace(own_examples=dict.fromkeys(SIGNATURES, GoldenExamples(inputs=REQUEST))),
        "held_out_examples": {},
        "golden_answers": answers,
        "held_out_answers": {},
        "attachments": {},
        **change,
    }
    return SimpleNamespace(**values)


def test_check_signature_whose_answers_vary_is_not_compared_and_named() -> None:
    exact = "y of 'exact': 0 of 2 rows changed, by 0 at most"
    assert (
        check_live_answers(subject()).found == f"{exact}; y of 'sampled': 0 of 2 rows changed, by 0 at most"
    )
    varying = SimpleNamespace(stateful_ops=("RandomUniform",), max_changed={}, change_tolerance=0.01)
    check = check_live_answers(subject(definition=varying))
    note = "signature 'sampled' is not compared: its answers vary from request to request"
    assert check.found == f"{exact}; {note}"
    assert check.status == "passed"


@pytest.mark.parametrize("lacking", ["live", "live_served"])
def test_check_without_a_live_version_cannot_run(lacking: str) -> None:
    with pytest.raises(CannotRun, match="there is no live version to compare with"):
        check_live_answers(subject(**{lacking: None}))


def test_check_counts_changed_rows_against_the_share_that_may_change() -> None:
    def changed(most: float) -> Any:
        definition = SimpleNamespace(stateful_ops=(), max_changed={"y": most}, change_tolerance=0.01)
        other = SimpleNamespace(answer=lambda signature, inputs: {"y": inputs["x"] * np.float32([1, 2])})
        return check_live_answers(subject(definition=definition, live_served=other))

    assert changed(0.5).status == "passed"
    failed = changed(0.49)
    assert failed.status == "failed"
    assert "1 of 2 rows changed, by 2 at most: 50 %, more than 49 %" in failed.found
