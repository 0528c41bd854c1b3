"""The rules of retention: which versions a prune removes. They use no storage."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from redraw.publish.prune.index import IndexedRelease
from redraw.records import LivePointer
from redraw.records.results import PrunedVersion
from redraw.requests import PruneRequest


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The versions to keep, in decimal digits to the reasons, and to remove. The newest always stay."""

    kept: dict[str, str]
    removed: tuple[PrunedVersion, ...]
    newest: tuple[int, ...] = ()


def plan_prune(
    pointer: LivePointer,
    served: Collection[int],
    releases: Sequence[IndexedRelease],
    written_at: Mapping[int, float],
    request: PruneRequest,
) -> Plan:
    """Apply the rules.

    Args:
        pointer: The live pointer, read before the releases.
        served: The versions that `models.config` names.
        releases: The model's, the newest weights first; pruned ones do not count.
        written_at: When each record was written, by the storage's clock, in seconds since 1970 UTC.
        request: How many, or how long, to keep.

    Returns:
        The plan. Versions of a stopped prune are removed, whatever the rules say.
    """
    kept: dict[str, str] = {}
    removed: list[PrunedVersion] = []
    standing = [release for release in releases if release.pruned_at is None]
    for place, release in enumerate(standing):
        reasons = list(_reasons(pointer, release, place, request))
        if request.keep_days is not None and _days_since(release, written_at) <= request.keep_days:
            reasons.append(f"pushed in the last {request.keep_days:g} days")
        if release.version in served and not reasons:
            reasons.append("named by models.config, but not by live.json")
        unfinished = release.version in pointer.pruning
        if reasons and not unfinished:
            kept[str(release.version)] = "; ".join(reasons)
        else:
            # If a stopped prune is run again with the same rules, it gives the same reasons.
            why = "an earlier prune of this version was interrupted" if reasons else _rule(request)
            removed.append(PrunedVersion(version=release.version, size_bytes=release.size_bytes, reason=why))
    removed.extend(_tombstoned(pointer, releases))
    newest = tuple(release.version for release in standing[: max(1, request.keep or 0)])
    return Plan(kept=kept, removed=tuple(removed), newest=newest)


def _tombstoned(pointer: LivePointer, releases: Sequence[IndexedRelease]) -> Iterator[PrunedVersion]:
    """Versions whose record says that they are pruned, but whose objects may still exist."""
    for release in releases:
        if release.pruned_at is not None and release.version in pointer.pruning:
            yield PrunedVersion(
                version=release.version, size_bytes=release.size_bytes, reason=release.pruned_for
            )


def _reasons(
    pointer: LivePointer, release: IndexedRelease, place: int, request: PruneRequest
) -> Iterator[str]:
    version = release.version
    if version == pointer.version:
        yield "live"
    if version == pointer.previous:
        yield "live before"
    for label in sorted(label for label, labelled in pointer.labels.items() if labelled == version):
        yield f"labelled {label}"
    if (why := pointer.pinned.get(str(version))) is not None:
        yield f"pinned: {why}"
    if place == 0:
        yield "the newest, which servers that follow the highest number load"
    if request.keep is not None and place < request.keep:
        yield f"one of the {request.keep} newest"


def _days_since(release: IndexedRelease, written_at: Mapping[int, float]) -> float:
    """Days since the push, by the storage's clock: that of the pushing machine may be wrong by years."""
    pushed_at = datetime.fromisoformat(release.pushed_at).timestamp()
    seconds = datetime.now(UTC).timestamp() - (written_at.get(release.version) or pushed_at)
    return seconds / timedelta(days=1).total_seconds()


def _rule(request: PruneRequest) -> str:
    rules = []
    if request.keep is not None:
        rules.append(f"not one of the {request.keep} newest")
    if request.keep_days is not None:
        rules.append(f"not pushed in the last {request.keep_days:g} days")
    return ", ".join(rules)
