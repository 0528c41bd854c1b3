import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from redraw.records.attachments import read_golden
from redraw.validate.checks.answers.parity import encode_golden
from redraw.validate.subject.subject import Subject

SubjectOf = Callable[..., Subject]


def test_encode_golden_records_the_first_rows_and_what_the_runtime_answers_to_them(
    subject_of: SubjectOf,
) -> None:
    subject = subject_of("good", "lengths")
    golden = read_golden(encode_golden(subject).encode())
    assert golden.tolerance == subject.definition.tolerance
    assert sorted(golden.signatures) == ["good", "lengths"]
    for name, request in golden.signatures.items():
        whole = subject.golden_requests[name]
        for key, values in request.inputs.items():
            assert 1 <= len(values) <= 4
            assert values == _plain(whole[key][: len(values)])
        asked = {key: value[:4] for key, value in whole.items()}
        answered = subject.served.answer(name, asked)
        assert request.outputs == {key: _plain(value) for key, value in answered.items()}


def test_encode_golden_leaves_out_what_is_too_large_to_ask(subject_of: SubjectOf, monkeypatch: Any) -> None:
    monkeypatch.setattr("redraw.validate.checks.answers.parity._MOST_VALUES", 0)
    assert json.loads(encode_golden(subject_of("good")))["signatures"] == {}


def test_encode_golden_leaves_out_signatures_whose_answers_vary(
    subject_of: SubjectOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kinds(subject: Subject) -> dict[str, tuple[str, ...]]:
        return {"good": ("RandomUniform",), "lengths": ()}

    monkeypatch.setattr("redraw.validate.checks.answers.parity.declared_kinds", kinds)
    golden = encode_golden(subject_of("good", "lengths"))
    assert list(json.loads(golden)["signatures"]) == ["lengths"]


def _plain(values: np.ndarray) -> Any:
    from redraw.serving.values import encode_values

    return encode_values(values)
