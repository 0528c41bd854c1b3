"""Every check by name, in the order in which they run: the cheap and TensorFlow-free ones first."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from tasks.records import Check

if TYPE_CHECKING:
    from tasks.validate.subject import Subject

__all__ = ["PLAN", "PlannedCheck"]


@dataclass(frozen=True)
class PlannedCheck:
    """One check of the plan.

    Attributes:
        name: Its name in the report, which a waiver may give.
        function: `module:function` below `tasks.validate`; imported when its turn comes, so that
            an export that fails early costs no import of TensorFlow. It takes the subject and
            the name, and returns the check.
        needs: The checks that have to have passed, or it is not run.
    """

    name: str
    function: str
    needs: tuple[str, ...] = ()

    def run(self, subject: Subject) -> Check:
        """Do the check; raises `CannotRun` where it lacks something."""
        module, _, function = self.function.partition(":")
        loaded = importlib.import_module(f"tasks.validate.{module}")
        return cast("Callable[[Subject], Check]", getattr(loaded, function))(subject)


_FILES = ("files-whole", "digest")
_SERVED = (*_FILES, "signatures", "loads")

PLAN = (
    # What the files say, without TensorFlow.
    PlannedCheck("files-whole", "whole:check_files"),
    PlannedCheck("digest", "whole:check_digest"),
    # What the graph says, held to the definition.
    PlannedCheck("signatures", "signatures:check_signatures", _FILES),
    # What the server says.
    PlannedCheck("loads", "loads:check_loads", _FILES),
    # What the checkpoint itself says.
    PlannedCheck("golden-examples", "parity:check_golden_examples", _SERVED),
    PlannedCheck("held-out-examples", "parity:check_held_out_examples", _SERVED),
    PlannedCheck("metric-thresholds", "thresholds:check_thresholds", _SERVED),
    PlannedCheck("live-metrics", "live_metrics:check_live_metrics", _SERVED),
)
