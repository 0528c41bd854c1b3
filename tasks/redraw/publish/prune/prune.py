"""Remove old versions: never what is live, was live before, is labelled or pinned.

    plan ─► live.json names what goes ─► release record says pruned ─► saved_model.pb ─► the rest
         ─► attachments ─► live.json

From the moment that the live pointer names a version as being pruned nothing can make it
live; from the moment that its record says so no push completes it; and without its graph
no reader loads half of it. A prune that was stopped anywhere is run again and resumes.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from redraw.names import ModelName
from redraw.publish.asking import who_asks
from redraw.publish.live.pointer import change_pointer, read_pointer
from redraw.publish.prune.plan import Plan, plan_prune
from redraw.publish.prune.removal import remove_version
from redraw.publish.releases import read_releases
from redraw.records import LivePointer
from redraw.records.results import PruneReport
from redraw.requests import PruneRequest
from redraw.storage.opening import Storage, open_storage

__all__ = ["prune_versions"]

_logger = logging.getLogger(__name__)


def prune_versions(request: PruneRequest) -> PruneReport:
    """Show which versions the rules let go, and remove them if asked to.

    Args:
        request: The model, its bucket, and what to keep.

    Returns:
        What stays and why, and what goes.

    Raises:
        ObjectConflict: Somebody keeps writing into a version that is being removed.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    model = request.model
    storage = open_storage(request.bucket)
    if not request.apply:
        plan = _plan(storage, read_pointer(storage, model), request)
    else:
        plan = _marked(storage, model, request)
        for going in plan.removed:
            remove_version(storage, model, going, who_asks(request.by))
            _logger.info("pruned %s/%s/%d: %s", storage.uri, model, going.version, going.reason)
        _unmark(storage, model, {going.version for going in plan.removed})
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
    plan = plan_prune(pointer, releases, request)
    kept = {str(version): record.reason for version, record in unreadable.items()}
    return replace(plan, kept={**plan.kept, **kept})


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
