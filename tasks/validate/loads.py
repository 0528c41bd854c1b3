"""Does the C++ loader take it, and does every signature answer?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.records import Check
from tasks.validate.outcome import conclude
from tasks.validate.serving import LoadFailed, RequestRefused, ServingCrashed

if TYPE_CHECKING:
    from tasks.validate.subject import Subject

__all__ = ["check_loads"]


def check_loads(subject: Subject) -> Check:
    """Load the export as a server would, and send each signature its golden examples: the check `loads`."""
    problem = ""
    try:
        names = ", ".join(sorted(subject.golden_answers))
    except (LoadFailed, RequestRefused, ServingCrashed) as err:
        problem, names = str(err), ""
    return conclude(
        "loads",
        looked_at=str(subject.folder),
        expected="TensorFlow's C++ loader takes it with the tag 'serve', and each signature answers",
        found=f"answers from {names}",
        problems=[problem] if problem else [],
        advice="Export again; if it fails again, mend the definition's serve.",
    )
