"""A version says when its weights were trained, and is claimed before anything is written.

`YYYYMMDDhhmmss` of the checkpoint in UTC, then two digits that count the versions of that second.
So a server that follows the highest number is never moved to older weights by a backfill.

Several checkpoints of one second are ordered by their step, then by their digest. Versions that come in
this order count up from 00. One that comes after newer weights of its second goes below them: into the
upper half of the second before, which no checkpoint of that second uses.
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
        Sixteen digits: an int64 that orders by training time, then by revision.

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
    """Take the version that this very export has already, or one in the order of training.

    Concurrent pushes of one export meet in one claim, those of different exports of
    one checkpoint in different ones: the storage lets only one of them create it. The
    number of a version that was pruned is never used again, not for the same bytes either.

    Args:
        storage: The model bucket.
        claim: What to claim; its version is set by this function.
        trained_at: As `version_of`.

    Returns:
        The claim as it stands in the bucket.

    Raises:
        InvalidRecord: The checkpoint is from the future.
        ObjectConflict: There is no version left for the checkpoint's second.
    """
    _demand_past(trained_at)
    for _ in range(REVISIONS):
        standing = _standing(storage, claim.model, trained_at)
        for known in standing.values():
            if _is_same(storage, known, claim):
                return known
        place = _free_place(standing, claim)
        if place is None:
            break
        wanted = replace(claim, version=_version_at(trained_at, place))
        try:
            storage.create(claim_name(wanted.model, wanted.version), encode_record(wanted))
            return wanted
        except AlreadyThere:  # by another push: its claim decides where this one goes
            continue
    raise ObjectConflict(
        f"{storage.uri}/{claim.model}: expected a free version for a checkpoint trained at {trained_at}, got"
        " none: other exports of that second took them. Train again, or push elsewhere."
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
        if not standing:  # nothing goes below the first version of a second before there is one
            break
    return dict(sorted(standing.items()))


def _free_place(standing: Mapping[int, Claim], claim: Claim) -> int | None:
    """The next place above all, or the highest free one below every newer checkpoint."""
    newer = [place for place, known in standing.items() if _order(known) > _order(claim)]
    if newer:
        below = range(min(newer) - 1, -1, -1)
        return next((place for place in below if place not in standing), None)
    place = max(standing, default=_FIRST - 1) + 1
    return place if place < REVISIONS else None


def _order(claim: Claim) -> tuple[int, str]:
    """The order of checkpoints that were saved in one second; claims of before know no step."""
    return (-1 if claim.step is None else claim.step), claim.checkpoint_digest


def _is_same(storage: Storage, known: Claim, wanted: Claim) -> bool:
    """Whether a claim is this export's, and its version not pruned."""
    if known != replace(wanted, version=known.version, step=known.step):
        return False
    release = read_release(storage, known.model, known.version)
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
            f"checkpoint's trained_at: expected a time in UTC as YYYY-MM-DDTHH:MM:SSZ, got {trained_at!r}."
            " Put the checkpoint into the catalogue again."
        ) from err


def _demand_past(trained_at: str) -> None:
    """Refuse a time that would keep every later training from becoming the newest version."""
    now = datetime.now(UTC)
    if _parsed(trained_at) > now + _AHEAD:
        raise InvalidRecord(
            f"checkpoint's trained_at: expected a time that is at most a day ahead of now, {now:{_FORM}}, got"
            f" {trained_at}. Correct the clock of the machine that trained it, or the time that it was"
            " adopted with."
        )
