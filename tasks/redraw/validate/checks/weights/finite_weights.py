"""Are the weights numbers?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from redraw.records import Check
from redraw.validate.outcome import conclude

if TYPE_CHECKING:
    from redraw.validate.subject.subject import Subject


def check_finite_weights(subject: Subject) -> Check:
    """Look for NaN and infinity, which only an export that was asked to may serve: `finite-weights`.

    Raises:
        CannotRun: There are some, and the ledger that may allow them is gone.
    """
    found = {key: count for key, count in subject.reading.non_finite.items() if count}
    allowed: dict[str, int] = {}
    if found:
        rows = {row["saved_as"]: row["variable"] for row in subject.ledger["served"]}
        noted = {row["variable"]: row["count"] for row in subject.ledger["non_finite"]}
        allowed = {
            key: count
            for key, count in found.items()
            if noted.get(rows.get(key, key.partition("/.ATTRIBUTES/")[0])) == count
        }
    shown = ", ".join(f"{count} in {key!r}" for key, count in allowed.items())
    return conclude(
        "finite-weights",
        looked_at=f"the values of {len(subject.bundle.entries)} tensors",
        expected="finite numbers, or what the export was allowed (allow_non_finite) and its ledger notes",
        found=f"allowed, and as noted: {shown}" if allowed else "every value is a finite number",
        problems=[
            f"{count} elements of {key!r} are NaN or infinite"
            for key, count in found.items()
            if key not in allowed
        ],
        advice="Export an earlier checkpoint.",
    )
