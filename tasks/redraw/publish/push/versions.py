"""Number versions by the time their weights were trained, and claim a version before writing it.

A version is `YYYYMMDDhhmmss` of the checkpoint in UTC, then two digits that count the versions of that
second. So a server that follows the highest number never loads older weights after a backfill.

Several checkpoints of one second are ordered by their step, then by their digest. Versions that are pushed in
this order count up from 00. A version that is pushed after newer weights of its second goes below them: into
the upper half of the second before, which no checkpoint of that second uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from redraw.errors import InvalidRecord, ObjectConflict
from redraw.publish.bucket.layout import (
    REVISIONS,
    Claim,
    claim_name,
    encode_record,
    list_claims,
    read_release,
)
from redraw.storage.opening import AlreadyThere, Storage

_FORM = "%Y-%m-%dT%H:%M:%SZ"
# The first version of a second is in the middle of its hundred places.
_FIRST = REVISIONS // 2
_AHEAD = timedelta(days=1)


def version_of(trained_at: str, revision: int) -> int:
    """The version's number.

    Args:
        trained_at: When the checkpoint was saved, in UTC, `YYYY-MM-DDTHH:MM:SSZ`.
        revision: 0 to 99.

    Returns:
        Sixteen digits: an int64, ordered by training time, then by revision.

    Raises:
        InvalidRecord: The time has another form.
    """
    return _number(_parsed(trained_at), revision)


def claims_of_second(storage: Storage, model: str, trained_at: str) -> dict[int, Claim]:
    """The claims of all checkpoints of a model that were saved in one second, by version."""
    return {
        _version_at(trained_at, place): claim
        for place, claim in _standing(storage, model, trained_at).items()
    }


def claim_version(storage: Storage, claim: Claim, trained_at: str) -> Claim:
    """Claim a version in the order of training, or return the claim that this export has already.

    Concurrent pushes of one export get the same claim, and different exports of one checkpoint get different
    claims, because the storage lets only one push create a claim. The number of a pruned version is never
    used again, not even for the same bytes.

    Args:
        storage: The model bucket.
        claim: The claim to make; this function sets its version.
        trained_at: When the checkpoint was saved, in UTC, `YYYY-MM-DDTHH:MM:SSZ`.

    Returns:
        The claim in the bucket.

    Raises:
        InvalidRecord: The checkpoint is from the future.
        ObjectConflict: There is no version left for the checkpoint's second.
    """
    _demand_past(trained_at)
    for _ in range(REVISIONS):
        standing = _standing(storage, claim.model, trained_at)
        for existing in standing.values():
            if _is_same(storage, existing, claim):
                return existing
        place = _free_place(standing, claim)
        if place is None:
            break
        candidate = replace(claim, version=_version_at(trained_at, place))
        try:
            storage.create(claim_name(candidate.model, candidate.version), encode_record(candidate))
            return candidate
        except AlreadyThere:  # another push created it: look for the next place
            continue
    raise ObjectConflict(
        f"{storage.uri}/{claim.model}: no free version number for a checkpoint trained at {trained_at}:"
        " other exports of the same second have them all. Train again, or push to another bucket."
    )


def _standing(storage: Storage, model: str, trained_at: str) -> dict[int, Claim]:
    """The claims of one second by their places, 0 to 99, in the order of training."""
    second = _parsed(trained_at)
    halves = (second, range(_FIRST)), (second - timedelta(seconds=1), range(_FIRST, REVISIONS))
    standing: dict[int, Claim] = {}
    for moment, revisions in halves:
        claims = list_claims(storage, model, _digits(moment))
        own = {version % REVISIONS: claim for version, claim in claims.items()}
        standing |= {
            (revision + _FIRST) % REVISIONS: own[revision] for revision in revisions if revision in own
        }
        if not standing:  # the second before is used only after the first version of this second
            break
    return dict(sorted(standing.items()))


def _free_place(standing: Mapping[int, Claim], claim: Claim) -> int | None:
    """The next place above all others, or the highest free place below every newer checkpoint."""
    newer = [place for place, existing in standing.items() if _order(existing) > _order(claim)]
    if newer:
        below = range(min(newer) - 1, -1, -1)
        return next((place for place in below if place not in standing), None)
    place = max(standing, default=_FIRST - 1) + 1
    return place if place < REVISIONS else None


def _order(claim: Claim) -> tuple[int, str]:
    """The order of checkpoints that were saved in one second; old claims have no step."""
    return (-1 if claim.step is None else claim.step), claim.checkpoint_digest


def _is_same(storage: Storage, existing: Claim, claim: Claim) -> bool:
    """Whether a claim is of this export, and its version not pruned."""
    if existing != replace(claim, version=existing.version, step=existing.step):
        return False
    release = read_release(storage, existing.model, existing.version)
    return release is None or release.pruned is None


def _version_at(trained_at: str, place: int) -> int:
    second, above = _parsed(trained_at), place >= _FIRST
    return _number(second if above else second - timedelta(seconds=1), (place + _FIRST) % REVISIONS)


def _number(moment: datetime, revision: int) -> int:
    return int(f"{_digits(moment)}{revision:02d}")


def _digits(moment: datetime) -> str:
    return f"{moment.year:04d}{moment:%m%d%H%M%S}"


def _parsed(trained_at: str) -> datetime:
    try:
        return datetime.strptime(trained_at, _FORM).replace(tzinfo=UTC)
    except ValueError as err:
        raise InvalidRecord(
            "checkpoint's trained_at: expected a time in UTC in the form YYYY-MM-DDTHH:MM:SSZ, got"
            f" {trained_at!r}. Put the checkpoint into the catalogue again."
        ) from err


def _demand_past(trained_at: str) -> None:
    """Refuse a time in the future, because no later training could become the newest version."""
    now = datetime.now(UTC)
    if _parsed(trained_at) > now + _AHEAD:
        raise InvalidRecord(
            f"checkpoint's trained_at: expected a time at most one day after now ({now:{_FORM}}), got"
            f" {trained_at}. Correct the clock of the machine that trained the checkpoint, or adopt the"
            " checkpoint again with the right --trained-at."
        )
