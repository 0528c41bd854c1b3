"""Wait until every model server has a version and answers as recorded; roll back if one does not.

live pointer ─► models.config, a mirror ─► servers ◄─ watch.py asks each for its version and its answers
                                              └─► Rollout, next to the version; a rollback, if requested
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from redraw.errors import ObjectConflict, RedrawError, RolloutFailed, VersionNotFound, short_list
from redraw.names import Words
from redraw.publish.bucket.verified import read_verified
from redraw.publish.live.set_live import change_live, read_pointer
from redraw.publish.requester import name_requester
from redraw.publish.rollouts import keep_rollout
from redraw.records import Release, Rollout, ServerRollout
from redraw.records.times import now
from redraw.requests import LiveRequest, RolloutRequest
from redraw.rollout.addresses import parse_servers
from redraw.rollout.golden import read_questions
from redraw.rollout.watch import Plan, watch
from redraw.settings import SERVERS
from redraw.storage.opening import Storage, open_storage

_UNRECORDED = "no answers were compared, because the version was published without golden.json"

_LONGEST_REASON = 1_000

_logger = logging.getLogger(__name__)


def confirm_rollout(request: RolloutRequest) -> Rollout:
    """Wait until model servers have a version and answer as recorded.

    Args:
        request: The model, its bucket, the servers, the timeout, and what to do if a server fails.

    Returns:
        The result of each server; all have the version. It is also stored next to the version.

    Raises:
        RolloutFailed: A server does not have it, or gives other answers; its `report` is the result.
        InvalidRequest: A server has another form, or none is named.
        VersionNotFound: There is no such version, or none is live.
        ObjectConflict: The recorded answers are not what was published.
        VerificationFailed: The version's records contradict each other.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    servers = parse_servers(request.servers or SERVERS.read())
    storage = open_storage(request.bucket)
    version = _live(storage, request) if request.version is None else request.version
    release, _ = read_verified(storage, request.model, version, request.public_key)
    questions, recorded = read_questions(storage, release)
    tolerance = recorded if request.tolerance is None else request.tolerance
    plan = Plan(
        servers=servers,
        model=release.model,
        version=version,
        questions=questions,
        tolerance=tolerance or 0.0,
        timeout=request.timeout,
    )
    rollout = _watch_servers(release, plan, request)
    if not rollout.confirmed and request.on_failure == "roll-back":
        keep_rollout(storage, rollout)  # the reason, in case this process ends after the rollback
        rollout = _roll_back(storage, rollout, request)
    keep_rollout(storage, rollout)
    if not rollout.confirmed:
        raise RolloutFailed(_message(rollout), report=rollout)
    _logger.info("%s is on %d servers, seen in %.1f s", release.uri, len(rollout.servers), rollout.seconds)
    return rollout


def _live(storage: Storage, request: RolloutRequest) -> int:
    live = read_pointer(storage, request.model).version
    if live is None:
        raise VersionNotFound(
            f"{storage.uri}/{request.model}: expected a live version, found none. Name a version with"
            " --version, or make a version live."
        )
    return live


def _watch_servers(release: Release, plan: Plan, request: RolloutRequest) -> Rollout:
    # The start is for people; the duration is measured with a monotonic clock.
    began_at, started = now(), time.monotonic()
    _logger.info("asking %s for %s", ", ".join(server.text for server in plan.servers), release.uri)
    servers = watch(plan)
    return Rollout(
        model=release.model,
        version=release.version,
        uri=release.uri,
        confirmed=all(server.state == "confirmed" for server in servers),
        servers=servers,
        began_at=began_at,
        seconds=time.monotonic() - started,
        tolerance=plan.tolerance if plan.questions else None,
        note="" if plan.questions else _UNRECORDED,
        by=name_requester(request.by),
    )


def _roll_back(storage: Storage, rollout: Rollout, request: RolloutRequest) -> Rollout:
    """Roll back from the version if it is still live; if that fails, a note says why."""
    reason = request.reason or f"not rolled out: {_failed(rollout)[0]}"
    live_request = LiveRequest(
        model=rollout.model,
        bucket=request.bucket,
        previous=True,
        from_version=rollout.version,
        reason=Words(reason[:_LONGEST_REASON]),
        by=request.by,
        public_key=request.public_key,
    )
    try:
        pointer = change_live(live_request)
        return replace(rollout, rolled_back_to=pointer.version, events=pointer.events)
    except ObjectConflict as err:
        restored, note = None, f"Not rolled back: {err}"
    except RedrawError as err:
        restored = _version_after_rollback(storage, rollout)
        note = str(err) if restored else f"Not rolled back: {type(err).__name__}: {err}"
    return replace(rollout, rolled_back_to=restored, note=" ".join(filter(None, (rollout.note, note))))


def _version_after_rollback(storage: Storage, rollout: Rollout) -> int | None:
    """The live version after a rollback whose last requests failed; None if the rollback was not made."""
    try:
        pointer = read_pointer(storage, rollout.model)
    except RedrawError as err:
        _logger.warning("whether %s is still live cannot be read: %s", rollout.uri, err)
        return None
    was_left = str(rollout.version) in pointer.rejected and pointer.version != rollout.version
    return pointer.version if was_left else None


def _failed(rollout: Rollout) -> list[ServerRollout]:
    return [server for server in rollout.servers if server.state != "confirmed"]


def _message(rollout: Rollout) -> str:
    failed = _failed(rollout)
    names = short_list(failed, "the servers without it", separator=" ")
    back = f"Rolled back: version {rollout.rolled_back_to} is live again." if rollout.rolled_back_to else ""
    note = "" if back and rollout.note == _UNRECORDED else rollout.note
    end = "".join(f" {text}" for text in (back, note) if text)
    servers = f"{len(failed)} of {len(rollout.servers)} servers"
    return f"{servers} not confirmed after {rollout.seconds:.1f} s: {names}{end}"
