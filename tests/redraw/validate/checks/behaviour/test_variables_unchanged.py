from collections.abc import Callable

from redraw.validate.checks.behaviour.repeatable import check_repeatable, check_variables_unchanged
from redraw.validate.subject.subject import Subject

SubjectOf = Callable[..., Subject]


def test_compare_variables_that_nothing_writes_passes(subject_of: SubjectOf) -> None:
    subject = subject_of("good", "dropout")
    check_repeatable(subject)
    assert check_variables_unchanged(subject).status == "passed"


def test_compare_variables_of_updated_statistics_fails_by_their_name(subject_of: SubjectOf) -> None:
    subject = subject_of("statistics", "good")
    check_repeatable(subject)
    check = check_variables_unchanged(subject)
    assert check.status == "failed"
    assert "variable 'mean' changed from" in check.found
    assert "weight" not in check.found


def test_compare_variables_declared_admits_only_what_the_operation_writes(subject_of: SubjectOf) -> None:
    subject = subject_of("sampled", "statistics", stateful_ops=("RngReadAndSkip",))
    check_repeatable(subject)
    check = check_variables_unchanged(subject)
    assert check.status == "failed"
    assert check.found.startswith("variable 'mean' changed")
    assert "; " not in check.found
    counter = subject_of("counting", stateful_ops=("AssignAddVariableOp",))
    check_repeatable(counter)
    check = check_variables_unchanged(counter)
    assert check.status == "passed"
    assert "variable 'asked' changed" in check.found
