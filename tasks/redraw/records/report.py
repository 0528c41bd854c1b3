"""What validation found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from redraw.names import ModelName
from redraw.records.base import Record
from redraw.records.forms import AttachmentName, Count, Digest, ObjectName, Seconds, ShortText, Time, Version
from redraw.uri import Uri

# The checks of which a person may know better: what a file describes need not be what is wanted, an old
# model may have been wrong, and answers may change because they should.
WAIVABLE_FAILURES = frozenset({"file-configuration", "live-answers", "reference-answers"})

# The checks that compare answers with those of somebody else: the checkpoint under the definition's own
# networks, the graph that training recorded, and a witness from outside.
PROOFS = ("golden-examples", "held-out-examples", "recorded-answers", "reference-answers")


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check of an export and its evidence.

    Attributes:
        name: What is checked, in kebab case; stable, so that a waiver can name it.
        status: `passed`, `failed`, or `not_run` where it could not be done.
        looked_at: What was examined.
        expected: What a good export shows.
        found: What this one shows.
        advice: What to do about it; empty when it passed.
        waived: Why publication goes ahead although the check was not run, or failed and is one of
            `WAIVABLE_FAILURES`; empty where it was not waived.
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
        """Whether it lets the export pass: it passed, or that it did not was waived, as far as it may be."""
        return self.status == "passed" or (is_waivable(self) and bool(self.waived))


def is_waivable(check: Check) -> bool:
    """Whether a reason lets an export pass although the check did not."""
    return check.status == "not_run" or (check.status == "failed" and check.name in WAIVABLE_FAILURES)


@dataclass(frozen=True, kw_only=True)
class ExaminedObjects:
    """The objects that were read of an export in a bucket: what has its generation still has its bytes.

    Attributes:
        uri: The `gs://` folder that they lie in.
        generations: Each object's, by its name below the folder.
    """

    uri: Uri
    generations: Mapping[ObjectName, Count]


@dataclass(frozen=True, kw_only=True)
class ValidationReport(Record):
    """Every check of one export, and the verdict.

    Attributes:
        model: The definition's name.
        digest: Of the export that was examined; a push demands the same.
        checks: Each by name.
        passed: Whether every check passed, or was waived.
        validated_at: UTC, `YYYY-MM-DDTHH:MM:SSZ`.
        waivers: Check to the reason why it may be left undone, as they were asked for.
        allow_breaking: Why a breaking change of signatures was wanted; empty where none was.
        against: The live version that it was compared with.
        attachments: Name to URI of what is to be looked at or asked: `report.html`, `graphs.svg`,
            `graphs.json`, `latency.json`, `golden.json`.
        objects: The objects of an export in a bucket whose bytes were checked against its digest. A
            push copies just these. None of a local folder, and in reports of before.
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
        """Which comparisons of answers were made, and passed: of `PROOFS`."""
        passed = {check.name for check in self.checks if check.status == "passed"}
        return tuple(name for name in PROOFS if name in passed)
