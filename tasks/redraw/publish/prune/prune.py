"""Remove old versions, but never the live one, the one live before, a labelled or a pinned one.

    plan ─► live.json names the versions ─► release record says pruned ─► saved_model.pb ─► the rest
         ─► attachments ─► live.json

Once the live pointer names a version as being pruned, nothing can make it live; once its record says so, no
push completes it; and without its graph no reader loads half of it. A prune that was stopped anywhere resumes
when it is run again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from redraw.errors import ObjectConflict
from redraw.names import ModelName
from redraw.publish.bucket.emptying import list_folders
from redraw.publish.bucket.layout import live_name, read_records, version_folder
from redraw.publish.events.deliver import announce
from redraw.publish.live.pointer import change_pointer, read_pointer
from redraw.publish.live.serving_config import read_served_versions
from redraw.publish.prune.index import (
    IndexedRelease,
    ReleaseFacts,
    ReleaseIndex,
    load_releases,
    store_index,
    with_changes,
)
from redraw.publish.prune.plan import Plan, plan_prune
from redraw.publish.prune.removal import Removal
from redraw.publish.requester import name_requester
from redraw.records import LivePointer, Release
from redraw.records.results import PruneReport
from redraw.requests import PruneRequest
from redraw.storage.opening import Storage, open_storage


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    """A plan, with the index and the records that it is based on."""

    plan: Plan
    index: ReleaseIndex
    records: dict[int, tuple[Release, int]]


def prune_versions(request: PruneRequest) -> PruneReport:
    """Show which versions the rules remove, and with `apply` remove them.

    Args:
        request: The model, its bucket, and what to keep.

    Returns:
        The versions that stay, with the reasons, and those that are removed.

    Raises:
        ObjectConflict: Another process keeps writing into a version that is being removed, or the live
            pointer is missing although a version was live.
        InvalidRecord: `live.json` or `models.config` is damaged.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    model = request.model
    storage = open_storage(request.bucket)
    if request.apply:
        prepared = _mark_pruned(storage, model, request)
        removal = Removal(
            storage=storage, model=model, by=name_requester(request.by), records=prepared.records
        )
        removal.remove(prepared.plan.removed)
        _sweep(storage, prepared, removal)
        _unmark(storage, model, {pruned.version for pruned in prepared.plan.removed})
        store_index(storage, with_changes(prepared.index, removal.buried))
    else:
        prepared = _prepare(storage, read_pointer(storage, model), request)
        removal = Removal(storage=storage, model=model)
        removal.look(prepared.plan.removed)
    plan = _without(prepared.plan, removal.kept)
    return PruneReport(
        model=model,
        kept=plan.kept,
        removed=plan.removed,
        bytes=sum(pruned.size_bytes for pruned in plan.removed),
        applied=request.apply,
        notes=removal.notes(plan.removed, applied=request.apply),
        events=announce(sorted(removal.events, key=lambda event: event.version)),
    )


def _prepare(storage: Storage, pointer: LivePointer, request: PruneRequest) -> _Prepared:
    """Apply the rules to the versions with readable records; the others stay."""
    facts = load_releases(storage, pointer.model)
    prepared = _planned(storage, pointer, facts, request)
    if prepared is None:
        facts = load_releases(storage, pointer.model, afresh=True)
        prepared = _planned(storage, pointer, facts, request)
    if prepared is None:
        raise ObjectConflict(
            f"{storage.uri}/{pointer.model}/releases: release records changed while they were being read."
            " Wait until other commands for this model end, then run the same command again."
        )
    return prepared


def _planned(
    storage: Storage, pointer: LivePointer, facts: ReleaseFacts, request: PruneRequest
) -> _Prepared | None:
    """The plan; None if a record that matters differs from its entry in the index."""
    index = facts.index
    # The versions of a stopped prune, however long ago.
    stopped = {version for version in pointer.pruning if str(version) in index.pruned}
    records = {**facts.records, **read_records(storage, pointer.model, stopped - facts.records.keys())[0]}
    old = [
        IndexedRelease.of(records[version], index.pruned[str(version)])
        for version in stopped & records.keys()
    ]
    served = read_served_versions(storage, pointer.model)
    if pointer.version is None:
        _demand_never_live(storage, pointer.model, served, index)
    plan = plan_prune(pointer, served, (*index.releases, *old), facts.written_at, request)
    entries = {entry.version: entry for entry in (*index.releases, *old)}
    versions = {*plan.newest, *(pruned.version for pruned in plan.removed)}
    records |= read_records(storage, pointer.model, versions - records.keys())[0]
    for version in versions:
        entry = entries[version]
        if version not in records or IndexedRelease.of(records[version], entry.generation) != entry:
            return None
    unreadable = {str(version): record.reason for version, record in facts.unreadable.items()}
    return _Prepared(
        plan=replace(plan, kept={**plan.kept, **unreadable}),
        index=index,
        records={version: (records[version], entries[version].generation) for version in versions},
    )


def _sweep(storage: Storage, prepared: _Prepared, removal: Removal) -> None:
    """Remove the objects of pushes that were stopped while their version was pruned."""
    lately = [entry.version for entry in prepared.index.releases if entry.recently_pruned]
    unswept = [version for version in lately if version not in removal.buried]
    if list_folders(storage, {f"{version_folder(removal.model, version)}/" for version in unswept}):
        removal.empty(unswept)


def _without(plan: Plan, protected: dict[int, str]) -> Plan:
    """The plan without the versions that cannot be removed, each for a reason."""
    reasons = {str(version): reason for version, reason in protected.items()}
    removed = tuple(pruned for pruned in plan.removed if str(pruned.version) not in reasons)
    return replace(plan, kept={**plan.kept, **reasons}, removed=removed)


def _demand_never_live(
    storage: Storage, model: ModelName, served: frozenset[int], index: ReleaseIndex
) -> None:
    """Refuse to prune if the live pointer is lost, which looks as if no version had ever been live."""
    live_before = {index.live_before, *(release.previous for release in index.releases)}
    if witnesses := sorted(served | {version for version in live_before if version is not None}):
        source = "models.config" if served else "a release record"
        raise ObjectConflict(
            f"{storage.uri}/{live_name(model)}: the live pointer is missing, although {source} names"
            f" version {witnesses[-1]} as live. Nothing was removed. Restore the pointer first: redraw"
            f" recover --model {model} --apply."
        )


def _mark_pruned(storage: Storage, model: ModelName, request: PruneRequest) -> _Prepared:
    """Make the plan for the current pointer, and mark its versions in the pointer as being pruned."""
    attempts: list[_Prepared] = []

    def mark(pointer: LivePointer) -> LivePointer:
        attempts.append(_prepare(storage, pointer, request))
        pruning = tuple(sorted({*pointer.pruning, *(pruned.version for pruned in attempts[-1].plan.removed)}))
        return pointer if pruning == pointer.pruning else replace(pointer, pruning=pruning)

    change_pointer(storage, model, mark)
    return attempts[-1]


def _unmark(storage: Storage, model: ModelName, versions: set[int]) -> None:
    def unmark(pointer: LivePointer) -> LivePointer:
        pruning = tuple(version for version in pointer.pruning if version not in versions)
        return pointer if pruning == pointer.pruning else replace(pointer, pruning=pruning)

    change_pointer(storage, model, unmark)
