from collections.abc import Callable

from redraw.validate.checks.behaviour.repeatable import check_repeatable
from redraw.validate.subject.subject import Subject

SubjectOf = Callable[..., Subject]


def test_repeat_of_what_answers_alike_passes(subject_of: SubjectOf) -> None:
    assert check_repeatable(subject_of("good", "lengths", "padded")).status == "passed"


def test_repeat_under_dropout_fails_by_its_output(subject_of: SubjectOf) -> None:
    check = check_repeatable(subject_of("good", "dropout"))
    assert check.status == "failed"
    assert "signature 'dropout', output 'y': values differ by up to" in check.found
    assert "'good'" not in check.found


def test_repeat_of_a_declared_sampler_passes_and_says_so(subject_of: SubjectOf) -> None:
    kinds = ("RngReadAndSkip", "StatelessRandomNormalV2")
    check = check_repeatable(subject_of("sampled", stateful_ops=kinds))
    assert check.status == "passed"
    assert (
        "the answers of 'sampled' vary, as stateful_ops allows (RngReadAndSkip, StatelessRandomNormalV2)"
        in check.found
    )


def test_repeat_under_dropout_beside_a_declared_sampler_fails(subject_of: SubjectOf) -> None:
    check = check_repeatable(subject_of("sampled", "dropout", stateful_ops=("RngReadAndSkip",)))
    assert check.status == "failed"
    assert "'sampled'" not in check.found
