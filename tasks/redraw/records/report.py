"""The record of a validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from redraw.names import ModelName
from redraw.records.base import Record
from redraw.records.forms import AttachmentName, Count, Digest, ObjectName, Seconds, ShortText, Time, Version
from redraw.uri import Uri

# The failed checks that a person may waive: the file's description may not be the intended one, the old model
# may have been wrong, and answers may have to change.
WAIVABLE_FAILURES = frozenset({"file-configuration", "live-answers", "reference-answers"})

# The checks that compare answers with another source: the checkpoint in the definition's own networks, the
# recorded training graph, or an outside reference.
PROOFS = ("golden-examples", "held-out-examples", "recorded-answers", "reference-answers")


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check of an export and its evidence.

    Attributes:
        name: The check's name in kebab case; stable, so that a waiver can name it.
        status: `passed`, `failed`, or `not_run` if it could not be done.
        looked_at: What was examined.
        expected: What a good export shows.
        found: What this one shows.
        advice: What to do about it; empty if it passed.
        waived: Why the export is published although the check was not run, or failed and is one of
            `WAIVABLE_FAILURES`; empty if it was not waived.
        seconds: How long it took.
    """

    name: ShortText
    status: Literal["passed", "failed", "not_run"]
    looked_at: str
    expected: str
    found: str
    advice: str = ""
    waived: str = ""
    seconds: Seconds = 0.0

    @property
    def admits(self) -> bool:
        """Whether it allows publication: it passed, or its failure may be waived and was."""
        return self.status == "passed" or (is_waivable(self) and bool(self.waived))


def is_waivable(check: Check) -> bool:
    """Whether a check that did not pass may be waived with a reason."""
    return check.status == "not_run" or (check.status == "failed" and check.name in WAIVABLE_FAILURES)


@dataclass(frozen=True, kw_only=True)
class ExaminedObjects:
    """The objects of an export in a bucket that validation read; an object's generation fixes its bytes.

    Attributes:
        uri: The `gs://` folder of the objects.
        generations: The generation of each object, by its name below the folder.
    """

    uri: Uri
    generations: Mapping[ObjectName, Count]


@dataclass(frozen=True, kw_only=True)
class ValidationReport(Record):
    """Every check of one export, and the verdict.

    Attributes:
        model: The definition's name.
        digest: Of the export that was examined; a push demands the same.
        checks: All checks.
        passed: Whether every check passed, or was waived.
        validated_at: UTC, `YYYY-MM-DDTHH:MM:SSZ`.
        waivers: Check to the reason to waive it, from the request.
        allow_breaking: Why a breaking change of signatures is intended; empty if there is none.
        against: The live version that it was compared with.
        attachments: Name to URI of files to attach: `report.html`, `graphs.svg`, `graphs.json`,
            `latency.json`, `golden.json`.
        objects: The objects of an export in a bucket whose bytes were checked against its digest, which a
            push copies. None for a local folder, and in older reports.
    """

    model: ModelName
    digest: Digest
    checks: tuple[Check, ...]
    passed: bool
    validated_at: Time
    waivers: Mapping[ShortText, str] = field(default_factory=dict)
    allow_breaking: str = ""
    against: Version | None = None
    attachments: Mapping[AttachmentName, Uri] = field(default_factory=dict)
    objects: ExaminedObjects | None = None

    @property
    def proofs(self) -> tuple[str, ...]:
        """Which of `PROOFS` passed."""
        passed = {check.name for check in self.checks if check.status == "passed"}
        return tuple(name for name in PROOFS if name in passed)
