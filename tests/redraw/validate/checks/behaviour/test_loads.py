from collections.abc import Callable
from pathlib import Path

from redraw.validate.checks.behaviour.loads import check_loads
from redraw.validate.subject.subject import Subject

SubjectOf = Callable[..., Subject]


def test_load_export_that_answers_as_promised_passes(subject_of: SubjectOf) -> None:
    check = check_loads(subject_of("good", "normalised"))
    assert check.status == "passed", check.found
    assert "answers from good, normalised" in check.found


def test_load_signature_that_breaks_its_promise_fails_by_output(subject_of: SubjectOf) -> None:
    check = check_loads(subject_of("good", "lengths"))
    assert check.status == "failed"
    assert check.found == "signature 'lengths', output 'y': expected float32 [None, 4], got int32 [3]"


def test_load_folder_without_a_model_fails(subject_of: SubjectOf, tmp_path: Path) -> None:
    assert "NOT_FOUND: Could not find SavedModel" in check_loads(subject_of("good", folder=tmp_path)).found


def test_load_signature_that_is_not_there_fails(subject_of: SubjectOf) -> None:
    check = check_loads(subject_of("good", "absent"))
    assert check.status == "failed"
    assert "no signature 'absent'" in check.found
