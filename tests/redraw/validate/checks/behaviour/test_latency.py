import json
from collections.abc import Callable

from redraw.definition import Budget
from redraw.validate.checks.behaviour.latency import check_latency
from redraw.validate.subject.subject import Subject

SubjectOf = Callable[..., Subject]


def test_measure_without_a_budget_passes_with_the_figures(subject_of: SubjectOf) -> None:
    check = check_latency(subject_of("good", "lengths"))
    assert check.status == "passed"
    assert check.expected == "no budget declared"
    assert "'good': 1 row p50" in check.found
    assert "rows a second" in check.found


def test_measure_puts_the_figures_of_each_batch_size_into_an_attachment(subject_of: SubjectOf) -> None:
    subject = subject_of("good", "lengths")
    check_latency(subject)
    figures = json.loads(subject.attachments["latency.json"])["signatures"]
    assert sorted(figures) == ["good", "lengths"]
    for batches in figures.values():
        assert [batch["rows"] for batch in batches] == [1, 32]
        for batch in batches:
            assert 0 < batch["p50_ms"] <= batch["p95_ms"] <= batch["p99_ms"]
            assert batch["runs"] >= 1
            assert batch["rows_per_second"] > 0


def test_measure_nothing_makes_no_attachment(subject_of: SubjectOf) -> None:
    subject = subject_of()
    assert check_latency(subject).found == "no signature has a batch dimension"
    assert subject.attachments == {}


def test_measure_within_a_wide_budget_passes(subject_of: SubjectOf) -> None:
    check = check_latency(subject_of("good", budget=Budget(p50_ms=1e4, p99_ms=1e4, rows_per_second=1)))
    assert check.status == "passed"
    assert check.expected == "p50 at most 10000 ms, p99 at most 10000 ms, at least 1 rows a second"


def test_measure_above_each_bound_fails_by_it(subject_of: SubjectOf) -> None:
    check = check_latency(subject_of("good", budget=Budget(p50_ms=1e-6, p99_ms=1e-6, rows_per_second=1e12)))
    assert check.status == "failed"
    for bound in ("p50", "p99", "rows a second"):
        assert bound in check.found
    assert "signature 'good'" in check.found


def test_measure_no_longer_than_its_standard_says(subject_of: SubjectOf) -> None:
    subject = subject_of("good")
    subject.resources.latency_seconds = 0.0
    check_latency(subject)
    figures = json.loads(subject.attachments["latency.json"])["signatures"]["good"]
    assert [batch["runs"] for batch in figures] == [1, 1]
