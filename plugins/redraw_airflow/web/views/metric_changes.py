"""Two checkpoints' metrics next to each other."""

from __future__ import annotations

from dataclasses import dataclass

from redraw.publish.version_rows import falls
from redraw.records import Checkpoint


@dataclass(frozen=True, kw_only=True)
class MetricRow:
    """One metric of two versions.

    Attributes:
        name: The metric's name.
        here: Its value in the version of the page; None if it was not evaluated.
        there: Its value in the other version.
        lower_is_better: Whether lower values are better.
    """

    name: str
    here: float | None
    there: float | None
    lower_is_better: bool

    @property
    def difference(self) -> float | None:
        """The difference of this version to the other; None if either has no value."""
        return None if self.here is None or self.there is None else self.here - self.there

    @property
    def verdict(self) -> str:
        """`better` or `worse` than the other version, `same`, or empty if they cannot be compared."""
        difference = self.difference
        if difference is None or difference != difference:  # not a number
            return ""
        if difference == 0:
            return "same"
        return "better" if (difference < 0) == self.lower_is_better else "worse"


def compare_metrics(here: Checkpoint, there: Checkpoint) -> tuple[MetricRow, ...]:
    """All metrics of either checkpoint, by name."""
    lower = {*here.lower_is_better, *there.lower_is_better}
    return tuple(
        MetricRow(
            name=name,
            here=here.metrics.get(name),
            there=there.metrics.get(name),
            lower_is_better=falls(name, lower),
        )
        for name in sorted(here.metrics.keys() | there.metrics.keys())
    )
