"""Remove old versions: never what is live, was live before, is labelled or pinned.

    plan ─► live.json names what goes ─► release record says pruned ─► saved_model.pb ─► the rest
         ─► attachments ─► live.json

From the moment that the live pointer names a version as being pruned nothing can make it
live; from the moment that its record says so no push completes it; and without its graph
no reader loads half of it. A prune that was stopped anywhere is run again and resumes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from redraw.errors import ObjectConflict
from redraw.names import ModelName
from redraw.publish.asking import who_asks
from redraw.publish.bucket.emptying import list_folders
from redraw.publish.bucket.layout import live_name, read_records, version_folder
from redraw.publish.events.deliver import announce
from redraw.publish.live.pointer import change_pointer, read_pointer
from redraw.publish.live.serving_config import read_served_versions
from redraw.publish.prune.index import (
    IndexedRelease,
    Known,
    ReleaseIndex,
    know_releases,
    remember_releases,
    with_changes,
)
from redraw.publish.prune.plan import Plan, plan_prune
from redraw.publish.prune.removal import Removal
from redraw.records import LivePointer, Release
from redraw.records.results import PruneReport
from redraw.requests import PruneRequest
from redraw.storage.opening import Storage, open_storage


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    """A plan, and what it was made of."""

    plan: Plan
    index: ReleaseIndex
    records: dict[int, tuple[Release, int]]


def prune_versions(request: PruneRequest) -> PruneReport:
    """Show which versions the rules let go, and remove them if asked to.

    Args:
        request: The model, its bucket, and what to keep.

    Returns:
        What stays and why, and what goes.

    Raises:
        ObjectConflict: Somebody keeps writing into a version that is being removed, or the live pointer
            is gone though a version was live.
        InvalidRecord: `live.json` or `models.config` is damaged.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    model = request.model
    storage = open_storage(request.bucket)
    if request.apply:
        prepared = _marked(storage, model, request)
        removal = Removal(storage=storage, model=model, by=who_asks(request.by), records=prepared.records)
        removal.remove(prepared.plan.removed)
        _sweep(storage, prepared, removal)
        _unmark(storage, model, {going.version for going in prepared.plan.removed})
        remember_releases(storage, with_changes(prepared.index, removal.buried))
    else:
        prepared = _prepare(storage, read_pointer(storage, model), request)
        removal = Removal(storage=storage, model=model)
        removal.look(prepared.plan.removed)
    plan = _without(prepared.plan, removal.kept)
    return PruneReport(
        model=model,
        kept=plan.kept,
        removed=plan.removed,
        bytes=sum(going.size_bytes for going in plan.removed),
        applied=request.apply,
        notes=removal.notes(plan.removed, applied=request.apply),
        events=announce(sorted(removal.events, key=lambda event: event.version)),
    )


def _prepare(storage: Storage, pointer: LivePointer, request: PruneRequest) -> _Prepared:
    """Apply the rules to what can be read; a version whose record is newer than this Redraw stays."""
    known = know_releases(storage, pointer.model)
    prepared = _planned(storage, pointer, known, request)
    if prepared is None:
        known = know_releases(storage, pointer.model, afresh=True)
        prepared = _planned(storage, pointer, known, request)
    if prepared is None:
        raise ObjectConflict(
            f"{storage.uri}/{pointer.model}/releases: expected release records unchanged while they are read,"
            " got changes by others. Find out who changes them, and run it again."
        )
    return prepared


def _planned(storage: Storage, pointer: LivePointer, known: Known, request: PruneRequest) -> _Prepared | None:
    """The plan; None if a record that matters is not what the index says of it."""
    index = known.index
    # What a prune that was stopped was about, however long ago.
    stopped = {version for version in pointer.pruning if str(version) in index.pruned}
    records = {**known.records, **read_records(storage, pointer.model, stopped - known.records.keys())[0]}
    old = [
        IndexedRelease.of(records[version], index.pruned[str(version)])
        for version in stopped & records.keys()
    ]
    served = read_served_versions(storage, pointer.model)
    if pointer.version is None:
        _demand_never_live(storage, pointer.model, served, index)
    plan = plan_prune(pointer, served, (*index.releases, *old), known.written_at, request)
    entries = {entry.version: entry for entry in (*index.releases, *old)}
    needed = {*plan.newest, *(going.version for going in plan.removed)}
    records |= read_records(storage, pointer.model, needed - records.keys())[0]
    for version in needed:
        entry = entries[version]
        if version not in records or IndexedRelease.of(records[version], entry.generation) != entry:
            return None
    kept = {str(version): record.reason for version, record in known.unreadable.items()}
    return _Prepared(
        plan=replace(plan, kept={**plan.kept, **kept}),
        index=index,
        records={version: (records[version], entries[version].generation) for version in needed},
    )


def _sweep(storage: Storage, prepared: _Prepared, removal: Removal) -> None:
    """Remove what a push left that was stopped while its version was pruned: a graph without weights."""
    lately = [entry.version for entry in prepared.index.releases if entry.recently_pruned]
    left = [version for version in lately if version not in removal.buried]
    if list_folders(storage, {f"{version_folder(removal.model, version)}/" for version in left}):
        removal.empty(left)


def _without(plan: Plan, kept: dict[int, str]) -> Plan:
    """The plan as it can be carried out: some versions cannot be removed, each for a reason."""
    reasons = {str(version): reason for version, reason in kept.items()}
    removed = tuple(going for going in plan.removed if str(going.version) not in reasons)
    return replace(plan, kept={**plan.kept, **reasons}, removed=removed)


def _demand_never_live(
    storage: Storage, model: ModelName, served: frozenset[int], index: ReleaseIndex
) -> None:
    """Refuse to take a live pointer that was lost for a model of which nothing was ever live."""
    live_before = {index.live_before, *(release.previous for release in index.releases)}
    if witnesses := sorted(served | {version for version in live_before if version is not None}):
        named = "models.config" if served else "a release record"
        raise ObjectConflict(
            f"{storage.uri}/{live_name(model)}: expected the live pointer, for {named} names version"
            f" {witnesses[-1]} as live, got none. Nothing is removed: find out which version is served, and"
            f" make it live again: redraw live --model {model} --set VERSION."
        )


def _marked(storage: Storage, model: ModelName, request: PruneRequest) -> _Prepared:
    """Make the plan of the pointer that stands, and put what goes into it."""
    made: list[_Prepared] = []

    def mark(pointer: LivePointer) -> LivePointer:
        made.append(_prepare(storage, pointer, request))
        going = tuple(sorted({*pointer.pruning, *(gone.version for gone in made[-1].plan.removed)}))
        return pointer if going == pointer.pruning else replace(pointer, pruning=going)

    change_pointer(storage, model, mark)
    return made[-1]


def _unmark(storage: Storage, model: ModelName, gone: set[int]) -> None:
    def unmark(pointer: LivePointer) -> LivePointer:
        left = tuple(version for version in pointer.pruning if version not in gone)
        return pointer if left == pointer.pruning else replace(pointer, pruning=left)

    change_pointer(storage, model, unmark)
