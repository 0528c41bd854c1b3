"""Where a model came from: the code that made it, and who asked for it."""

from __future__ import annotations

from dataclasses import dataclass

from redraw.records.forms import Count, Digest, Revision, ShortText, Time


@dataclass(frozen=True, kw_only=True)
class MadeBy:
    """The code that made an export.

    Attributes:
        definition_digest: SHA-256, in hex, of the sources that the definition is written in.
        git_revision: The commit that they were checked out at; None where they are in no repository.
        git_dirty: Whether that repository had uncommitted changes; None as before.
        tensorflow: Its version.
        keras: Its version.
        python: Its version.
        redraw: Its version.
        exported_at: UTC, `YYYY-MM-DDTHH:MM:SSZ`.
    """

    definition_digest: Digest
    git_revision: Revision | None
    git_dirty: bool | None
    tensorflow: ShortText
    keras: ShortText
    python: ShortText
    redraw: ShortText
    exported_at: Time


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What stands behind a release in addition to its checkpoint and its report.

    Attributes:
        made_by: The code that made the export; None where the export's record did not say so.
        report_digest: SHA-256, in hex, of the validation report's JSON.
        asked_by: The Airflow user, or the user and machine of a push by hand.
        dag_run: `<dag>/<run>` of the push; None for one by hand.
        try_number: Which try of its task it was.
        approved_by: Who approved the publication; None where nobody was asked.
    """

    made_by: MadeBy | None
    report_digest: Digest
    asked_by: str
    dag_run: str | None = None
    try_number: Count | None = None
    approved_by: str | None = None
