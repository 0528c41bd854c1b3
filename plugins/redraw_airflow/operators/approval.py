"""Whether a publication needs approval, and the question to the person who decides."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redraw.definition.registry import find_model
from redraw.errors import InvalidRequest
from redraw.records import Check, ExportedModel, ValidationReport, format_metrics

# A person will not read more.
_MOST_ROWS = 100
_UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
_CHOICES = ("default", "yes", "no")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#!~&])")


@dataclass(frozen=True, kw_only=True)
class ApprovalRequest:
    """A question to a person: one line, and the facts in Markdown."""

    subject: str
    body: str


def approval_required(choice: str, model: str) -> bool:
    """Whether a person has to approve a run's publication; each run of a backfill asks once.

    Args:
        choice: `yes`, `no`, or `default` for what the definition says. `no` is refused if the definition asks
            for approval.
        model: The definition's name.

    Raises:
        InvalidRequest: The choice is none of these, or skips the approval that the definition asks for.
        UnknownModel: No package has the model.
    """
    if choice not in _CHOICES:
        listed = ", ".join(_CHOICES)
        raise InvalidRequest(f"approval: expected one of {listed}, got {choice!r}. Correct the argument.")
    by_definition = find_model(model).approval
    if by_definition and choice == "no":
        raise InvalidRequest(
            f"approval: expected default or yes, because the definition of {model} requires approval, got"
            " 'no'. Remove the argument, or choose yes."
        )
    return by_definition or choice == "yes"


def demand_approval(model: str, approved_by: str | None, requester: str | None) -> None:
    """Demand the approval that a model's definition asks for.

    Args:
        model: The definition's name.
        approved_by: Who approved; None for nobody.
        requester: Who started the run; None for the scheduler.

    Raises:
        InvalidRequest: Nobody approved, or the person who started the run did although that is not allowed.
        UnknownModel: No package has the model.
    """
    definition = find_model(model)
    if definition.approval and not approved_by:
        raise InvalidRequest(
            f"approval: expected the approval of a person, which the definition of {model} requires, got"
            " none. Answer the request under Required Actions. In your own DAG, add an"
            " ApproveReleaseOperator and pass its output."
        )
    if definition.approval_by_another and requester is not None and requester == approved_by:
        raise InvalidRequest(
            f"approval: expected a person other than {requester!r}, who started the run, as the definition"
            f" of {model} requires. Clear the task of the approval, and have another person answer."
        )


def describe_release(
    export: ExportedModel, report: ValidationReport, bucket: str, *, make_live: bool
) -> ApprovalRequest:
    """Describe a publication: first what it changes, then the checks that did not pass.

    Args:
        export: The export to publish.
        report: The export's validation, with its comparison with the live version.
        bucket: The bucket to publish to.
        make_live: Whether the version is to become live.
    """
    checkpoint = export.checkpoint
    effect = (
        "this version becomes live, unless the live version was trained later, or this version is"
        " significantly worse"
        if make_live
        else "nothing becomes live"
    )
    facts = {
        "Live now": "no version" if report.against is None else str(report.against),
        "Compared with the live version": _finding(report, "live-metrics"),
        "Changed answers": _finding(report, "live-answers"),
        "If you approve": effect,
        "Metrics of the checkpoint": format_metrics(checkpoint.metrics) or "none measured",
        "Weights": f"{export.weights}, of step {checkpoint.step}, trained {checkpoint.trained_at}",
        "Size": _size(export.size_bytes),
        "Bucket": bucket,
        "Digest": export.digest[:12],
    }
    rows = [f"| {name} | {_plain(value)} |" for name, value in facts.items()]
    body = "\n".join(["| What | This version |", "|---|---|", *rows, "", *_checks(report)])
    return ApprovalRequest(subject=f"Publish {export.model}, step {checkpoint.step}?", body=body)


def describe_batch(model: str, bucket: str, checkpoints: Sequence[Mapping[str, Any]]) -> ApprovalRequest:
    """Describe all that a run would export again and publish, in one question.

    Args:
        model: The definition's name.
        bucket: The bucket to publish to.
        checkpoints: The checkpoints' records, as JSON values.
    """
    rows = [
        f"| {checkpoint['step']} | {_plain(checkpoint['trained_at'])} | {_plain(checkpoint['uri'])} |"
        for checkpoint in checkpoints
    ]
    left_out = len(rows) - _MOST_ROWS
    more = [f"\nAnd {left_out} more: the previous task lists them."] if left_out > 0 else []
    table = ["| Step | Trained | Checkpoint |", "|---|---|---|", *rows[:_MOST_ROWS], *more]
    body = "\n".join([f"To {_plain(bucket)}; nothing becomes live.", "", *table])
    return ApprovalRequest(
        subject=f"Publish {len(rows)} checkpoint{'s' * (len(rows) != 1)} of {model}?", body=body
    )


def _checks(report: ValidationReport) -> Iterator[str]:
    passed = sum(check.status == "passed" for check in report.checks)
    yield f"**{passed} of {len(report.checks)} checks passed.**"
    if report.allow_breaking:
        yield f"\nA breaking change of signatures was allowed: {_plain(report.allow_breaking)}"
    yield ""
    for check in report.checks:
        if check.status != "passed":
            yield f"- **{_plain(check.name)}** {_verdict(check)}"
    names = [_plain(check.name) for check in report.checks if check.status == "passed"]
    yield f"\nPassed: {', '.join(names) or 'none'}"


def _verdict(check: Check) -> str:
    """A check's status, finding and waiver; a waiver that repeats the finding is not quoted twice."""
    status, finding = check.status.replace("_", " "), _plain(check.found.removeprefix("not run: "))
    if not check.waived:
        return f"{status}: {finding}"
    waived = _plain(check.waived)
    return f"{status}, waived: {finding}" if waived in finding else f"{status}: {finding}; waived: {waived}"


def _finding(report: ValidationReport, name: str) -> str:
    finding = next((check.found for check in report.checks if check.name == name), "not compared")
    return finding.removeprefix("not run: ")


def _size(size: int) -> str:
    unit, divisor = next(((unit, divisor) for unit, divisor in _UNITS if size >= divisor), _UNITS[-1])
    return f"{size / divisor:.3g} {unit}"


def _plain(text: str) -> str:
    """Escape Markdown: names and findings come from models, and must not format or link anything."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))
