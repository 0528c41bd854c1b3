"""Remove old versions: never what is live, was live before, is labelled or pinned.

    plan ─► live.json names what goes ─► release record says pruned ─► saved_model.pb ─► the rest
         ─► attachments ─► live.json

From the moment that the live pointer names a version as being pruned nothing can make it
live; from the moment that its record says so no push completes it; and without its graph
no reader loads half of it. A prune that was stopped anywhere is run again and resumes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from redraw.errors import ObjectConflict
from redraw.names import ModelName
from redraw.publish.asking import who_asks
from redraw.publish.bucket.layout import live_name
from redraw.publish.live.pointer import change_pointer, read_pointer
from redraw.publish.live.serving_config import read_served_versions
from redraw.publish.prune.plan import Plan, plan_prune
from redraw.publish.prune.removal import remove_version
from redraw.publish.releases import read_releases
from redraw.records import LivePointer, Release
from redraw.records.results import PruneReport
from redraw.requests import PruneRequest
from redraw.storage.opening import Storage, in_parallel, open_storage

__all__ = ["prune_versions"]

# Versions that are removed at once; the objects of each are deleted several at once as well.
_AT_ONCE = 4


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
    if not request.apply:
        plan = _plan(storage, read_pointer(storage, model), request)
    else:
        plan = _marked(storage, model, request)
        by = who_asks(request.by)
        kept = in_parallel(lambda going: remove_version(storage, model, going, by), plan.removed, _AT_ONCE)
        _unmark(storage, model, {going.version for going in plan.removed})
        plan = _without(plan, kept)
    return PruneReport(
        model=model,
        kept=plan.kept,
        removed=plan.removed,
        bytes=sum(going.size_bytes for going in plan.removed),
        applied=request.apply,
    )


def _plan(storage: Storage, pointer: LivePointer, request: PruneRequest) -> Plan:
    """Apply the rules to what can be read; a version whose record is newer than this Redraw stays."""
    releases, unreadable = read_releases(storage, pointer.model)
    served = read_served_versions(storage, pointer.model)
    if pointer.version is None:
        _demand_never_live(storage, pointer.model, served, releases)
    plan = plan_prune(pointer, served, releases, request)
    kept = {str(version): record.reason for version, record in unreadable.items()}
    return replace(plan, kept={**plan.kept, **kept})


def _without(plan: Plan, kept: Sequence[str]) -> Plan:
    """The plan as it was carried out: some versions cannot be removed, each for a reason."""
    reasons = {str(going.version): reason for going, reason in zip(plan.removed, kept, strict=True) if reason}
    removed = tuple(going for going in plan.removed if str(going.version) not in reasons)
    return Plan(kept={**plan.kept, **reasons}, removed=removed)


def _demand_never_live(
    storage: Storage, model: ModelName, served: frozenset[int], releases: Sequence[Release]
) -> None:
    """Refuse to take a live pointer that was lost for a model of which nothing was ever live."""
    live_before = {release.previous for release in releases if release.previous is not None}
    if witnesses := sorted(served | live_before):
        named = "models.config" if served else "a release record"
        raise ObjectConflict(
            f"{storage.uri}/{live_name(model)}: expected the live pointer, for {named} names version"
            f" {witnesses[-1]} as live, got none. Nothing is removed: find out which version is served, and"
            f" make it live again: redraw live --model {model} --set VERSION."
        )


def _marked(storage: Storage, model: ModelName, request: PruneRequest) -> Plan:
    """Make the plan of the pointer that stands, and put what goes into it."""
    plans: list[Plan] = []

    def mark(pointer: LivePointer) -> LivePointer:
        plan = _plan(storage, pointer, request)
        plans.append(plan)
        going = tuple(sorted({*pointer.pruning, *(gone.version for gone in plan.removed)}))
        return pointer if going == pointer.pruning else replace(pointer, pruning=going)

    change_pointer(storage, model, mark)
    return plans[-1]


def _unmark(storage: Storage, model: ModelName, gone: set[int]) -> None:
    def unmark(pointer: LivePointer) -> LivePointer:
        left = tuple(version for version in pointer.pruning if version not in gone)
        return pointer if left == pointer.pruning else replace(pointer, pruning=left)

    change_pointer(storage, model, unmark)
