"""What a person is asked before a publication, and whether anybody is asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redraw.definition.registry import find_model
from redraw.errors import InvalidRequest
from redraw.records import Check, ExportedModel, ValidationReport

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["ApprovalRequest", "approval_wanted", "describe_release"]

_CHOICES = ("default", "yes", "no")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#!~&])")


@dataclass(frozen=True, kw_only=True)
class ApprovalRequest:
    """A question to a person: one line, and in Markdown what to decide it by."""

    subject: str
    body: str


def approval_wanted(choice: str, model: str, context: Context) -> bool:
    """Whether a person has to approve what this run publishes.

    Args:
        choice: `yes`, `no`, or `default` for what the definition says.
        model: The definition's name.
        context: Airflow's; a backfill's runs never wait, for there are many of them.

    Raises:
        InvalidRequest: The choice is none of these.
        UnknownModel: No package holds the model.
    """
    if choice not in _CHOICES:
        listed = ", ".join(_CHOICES)
        raise InvalidRequest(f"approval: expected one of {listed}, got {choice!r}. Correct it.")
    if context["dag_run"].run_type.value == "backfill":
        return False
    return choice == "yes" or (choice == "default" and find_model(model).approval)


def describe_release(
    export: ExportedModel, report: ValidationReport, bucket: str, *, make_live: bool
) -> ApprovalRequest:
    """Put into words what would be published.

    Args:
        export: What.
        report: What validation found of it; its comparison with the live version is in there.
        bucket: Where to.
        make_live: Whether servers would take it.
    """
    checkpoint = export.checkpoint
    effect = "it becomes live, unless what is live was trained later" if make_live else "nothing becomes live"
    facts = {
        "Weights": f"{export.weights}, of step {checkpoint.step}, trained {checkpoint.trained_at}",
        "Size": f"{export.size_bytes / 1e6:.2f} MB",
        "Where to": bucket,
        "Then": effect,
        "Live now": "no version" if report.against is None else str(report.against),
        "Against the live version": _found(report, "live-metrics"),
        "Metrics of the checkpoint": _metrics(export),
        "Digest": export.digest[:12],
    }
    rows = [f"| {name} | {_plain(value)} |" for name, value in facts.items()]
    body = "\n".join(["| | |", "|---|---|", *rows, "", *_checks(report)])
    return ApprovalRequest(subject=f"Publish {export.model}, step {checkpoint.step}?", body=body)


def _checks(report: ValidationReport) -> Iterator[str]:
    passed = sum(check.status == "passed" for check in report.checks)
    yield f"**{passed} of {len(report.checks)} checks passed.**"
    if report.allow_breaking:
        yield f"\nSignatures may break those of the live version: {_plain(report.allow_breaking)}"
    yield ""
    for check in report.checks:
        yield f"- **{_plain(check.name)}** {_verdict(check)}: {_plain(check.found)}"


def _verdict(check: Check) -> str:
    if check.waived:
        return (
            f"{'failed' if check.status == 'failed' else 'was not run'}, and waived ({_plain(check.waived)})"
        )
    return check.status.replace("_", " ")


def _found(report: ValidationReport, name: str) -> str:
    return next((check.found for check in report.checks if check.name == name), "not compared")


def _metrics(export: ExportedModel) -> str:
    return (
        ", ".join(f"{name} {value:.4g}" for name, value in export.checkpoint.metrics.items())
        or "none measured"
    )


def _plain(text: str) -> str:
    """A text as it is: names and findings come from models, and must not draw or link anything."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))
