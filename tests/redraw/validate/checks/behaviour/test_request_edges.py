from collections.abc import Callable

import ml_dtypes
import numpy as np
import pytest

from redraw.records.signature import TensorSpec
from redraw.serving import ServingProcess
from redraw.validate.checks.behaviour.request_edges import Outcome, check_request_edges, edge_cases
from redraw.validate.subject.subject import Subject

SubjectOf = Callable[..., Subject]


def test_ask_edges_of_good_signatures_passes(subject_of: SubjectOf) -> None:
    """`decoded` refuses what is no number and `looked_up` what is no row, as they should."""
    check = check_request_edges(subject_of("good", "lengths", "decoded", "looked_up"))
    assert check.status == "passed", check.found
    assert "none of them a crash" in check.found


@pytest.mark.parametrize(
    ("behaviour", "finding"),
    [
        ("unguarded", "one dimension more: expected an error, got an answer: y"),
        ("five_rows", "257 rows: expected an answer with a row for each, got INVALID_ARGUMENT"),
        ("first_row", "257 rows: expected 257 rows in 'y', got shape [1, 4]"),
        ("nan_for_some", "1 rows: expected numbers in 'y', got NaN"),
    ],
)
def test_ask_edges_of_bad_signature_fails_by_the_edge(
    behaviour: str, finding: str, subject_of: SubjectOf
) -> None:
    check = check_request_edges(subject_of("good", behaviour))
    assert check.status == "failed"
    assert f"signature {behaviour!r}, " in check.found
    assert finding in check.found
    assert "'good'" not in check.found


def test_ask_edge_that_hangs_is_found_and_the_rest_is_asked(
    subject_of: SubjectOf, serving: ServingProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "request_seconds", 3)
    check = check_request_edges(subject_of("endless", "first_row"))
    assert check.status == "failed"
    assert "signature 'endless', input 'x' of the lowest: no answer within 3 s" in check.found
    assert "signature 'first_row', 257 rows" in check.found  # of the process that was started again


@pytest.mark.parametrize(
    ("dtype", "extremes"),
    [
        (np.float16, 5),
        (ml_dtypes.bfloat16, 5),
        (ml_dtypes.float8_e4m3fn, 5),
        (np.complex64, 5),
        (np.uint64, 2),
        (np.bool_, 0),
        (object, 3),
    ],
)
def test_list_edges_of_any_dtype_keeps_dtype_and_shape_where_they_fit(
    dtype: type, extremes: int, subject_of: SubjectOf
) -> None:
    golden = {"x": np.full((2, 3), b"" if dtype is object else 1, dtype)}
    cases = list(edge_cases(golden, {"x": TensorSpec("any", (None, 3))}))
    fitting = [case for case in cases if case.expected is not Outcome.ERROR]
    assert all(case.request["x"].dtype == dtype for case in fitting)
    assert all(case.request["x"].shape == (case.rows, 3) for case in fitting)
    assert len(fitting) == 3 + extremes
    wrong = [case.request["x"] for case in cases if case.expected is Outcome.ERROR]
    assert all(value.dtype != dtype or value.shape[1:] != (3,) for value in wrong)
    assert {value.shape for value in wrong if value.dtype == dtype} == {(1, 3, 1), (3,), (1, 4), (1, 0)}
    assert len({case.name for case in cases}) == len(cases)


def test_list_edges_of_large_rows_bounds_the_bytes(subject_of: SubjectOf) -> None:
    golden = {"x": np.zeros((1, 1 << 20), np.float32)}
    cases = list(edge_cases(golden, {"x": TensorSpec("float32", (None, 1 << 20))}))
    assert max(case.request["x"].nbytes for case in cases) <= 32 << 20
    assert [case.rows for case in cases if case.expected is Outcome.ANSWER] == [1, 8]
