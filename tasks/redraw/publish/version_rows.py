"""The rows of lists of versions and models: short forms of release records and definitions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from redraw.definition.registry import FoundModel
from redraw.names import ModelName
from redraw.records import Metrics, Release, WeightsKind

_AVERAGED = "average_"


@dataclass(frozen=True, kw_only=True)
class VersionRow:
    """A version in a list.

    Attributes:
        version: The version; fields without a description have the same meaning as in `Release`.
        trained_at: Of the checkpoint.
        step: Of the checkpoint.
        metrics: Of the checkpoint.
        lower_is_better: Of the checkpoint.
        passed: How many checks of the validation passed.
        checks: How many checks there were, without those that had nothing to look at and block nothing.
        waived: The checks that a person waived.
        pruned_at: When its objects were removed; None if they were not.
    """

    version: int
    trained_at: str
    pushed_at: str
    step: int
    digest: str
    size_bytes: int
    weights: WeightsKind
    metrics: Metrics
    lower_is_better: tuple[str, ...]
    passed: int
    checks: int
    waived: tuple[str, ...]
    asked_by: str
    dag_run: str | None
    pruned_at: str | None


@dataclass(frozen=True, kw_only=True)
class UnreadableVersion:
    """A version whose release record is damaged or of a newer version of Redraw, and why."""

    version: int
    problem: str


@dataclass(frozen=True, kw_only=True)
class VersionPage:
    """Some of a model's versions, the newest weights first, of `total`."""

    total: int
    listed: tuple[VersionRow | UnreadableVersion, ...]

    @property
    def rows(self) -> tuple[VersionRow, ...]:
        """The versions whose records can be read."""
        return tuple(row for row in self.listed if isinstance(row, VersionRow))

    @property
    def unreadable(self) -> tuple[UnreadableVersion, ...]:
        """The versions whose records cannot be read."""
        return tuple(row for row in self.listed if isinstance(row, UnreadableVersion))


def row_of(release: Release) -> VersionRow:
    """The row of a release record."""
    checks, waivers = release.report.checks, release.report.waivers
    return VersionRow(
        version=release.version,
        trained_at=release.checkpoint.trained_at,
        pushed_at=release.pushed_at,
        step=release.checkpoint.step,
        digest=release.digest,
        size_bytes=release.size_bytes,
        weights=release.weights,
        metrics=release.checkpoint.metrics,
        lower_is_better=release.checkpoint.lower_is_better,
        passed=sum(check.status == "passed" for check in checks),
        checks=sum(
            check.status != "not_run" or not check.waived or check.name in waivers for check in checks
        ),
        waived=tuple(check.name for check in checks if check.waived and check.name in waivers),
        asked_by=release.provenance.asked_by,
        dag_run=release.provenance.dag_run,
        pruned_at=release.pruned.pruned_at if release.pruned else None,
    )


def headline_metric(rows: Iterable[VersionRow], bounded: Sequence[str] = ()) -> str | None:
    """The metric that is shown for a model: the first of `ordered_metrics`; None if there are no metrics."""
    return next(iter(ordered_metrics(rows, bounded)), None)


def ordered_metrics(rows: Iterable[VersionRow], bounded: Sequence[str] = ()) -> list[str]:
    """The metrics of a model's newest version that has any, the most important first.

    Metrics of the served weights come first; of these, the metrics in the definition's `thresholds`, in their
    order; then those for which more is better; then the others, by name.

    Args:
        rows: Versions, the newest weights first.
        bounded: The names in the definition's `thresholds`, in their order.

    Returns:
        Their names; empty if no version has metrics.
    """
    newest = next((row for row in rows if row.metrics), None)
    if newest is None:
        return []
    averaged = newest.weights == "average"

    def rank(name: str) -> tuple[bool, int, bool, str]:
        plain = name.removeprefix(_AVERAGED)
        place = bounded.index(plain) if plain in bounded else len(bounded)
        return name.startswith(_AVERAGED) != averaged, place, falls(name, newest.lower_is_better), name

    return sorted(newest.metrics, key=rank)


def falls(name: str, lower_is_better: Collection[str]) -> bool:
    """Whether less of a metric is better: a metric in `lower_is_better`, its average, or a loss."""
    plain = name.removeprefix(_AVERAGED)
    return plain in lower_is_better or plain.endswith("loss")


@dataclass(frozen=True, kw_only=True)
class ModelRow:
    """A model in the list of models.

    Attributes:
        name: The definition's.
        summary: The first line of its docstring.
        problem: Why its definition cannot be used; empty if it can.
        live: The live version; None before the first.
        live_problem: Why the live pointer cannot be read; empty if it can.
        versions: How many were published, including pruned ones.
        recent: The last of them, the newest weights first.
        owner: Of the definition, like `schedule` and `metrics`.
    """

    name: ModelName
    summary: str
    problem: str
    live: int | None = None
    live_problem: str = ""
    versions: int = 0
    recent: tuple[VersionRow, ...] = ()
    owner: str = ""
    schedule: str = ""
    metrics: tuple[str, ...] = ()


def undescribed_row(model: FoundModel) -> ModelRow:
    """The row of a model before its bucket is read: only what the definition says."""
    return ModelRow(
        name=ModelName(model.name),
        summary=model.summary,
        problem=model.problem,
        owner=model.owner,
        schedule=model.schedule,
        metrics=model.metrics,
    )
