"""A version says when its weights were trained, and is claimed before anything is written.

`YYYYMMDDhhmmss` of the checkpoint in UTC, then two digits for the revision: the same
checkpoint exported again. So a server that follows the highest number is never moved
to older weights by a backfill.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime

from redraw.errors import InvalidRecord, NewerRecord, ObjectConflict
from redraw.publish.bucket.layout import REVISIONS, Claim, claim_name, encode_record, read_claim, read_release
from redraw.storage.opening import AlreadyThere, Storage

__all__ = ["claim_version", "version_of"]

logger = logging.getLogger(__name__)

_FORM = "%Y-%m-%dT%H:%M:%SZ"


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
    try:
        moment = datetime.strptime(trained_at, _FORM)
    except ValueError as err:
        raise InvalidRecord(
            f"checkpoint's trained_at: expected a time in UTC as YYYY-MM-DDTHH:MM:SSZ, got {trained_at!r}."
            " Put the checkpoint into the catalogue again."
        ) from err
    return int(f"{moment.year:04d}{moment:%m%d%H%M%S}{revision:02d}")


def claim_version(storage: Storage, claim: Claim, trained_at: str) -> Claim:
    """Take the first revision that is free, or the one that this very export has already.

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
        ObjectConflict: All hundred revisions belong to other exports.
    """
    for revision in range(REVISIONS):
        wanted = replace(claim, version=version_of(trained_at, revision))
        if _claimed(storage, wanted):
            return wanted
    raise ObjectConflict(
        f"{storage.uri}/{claim.model}: expected one of {REVISIONS} revisions of the checkpoint trained"
        f" at {trained_at} to be free, got all taken by other exports. Train again, or push elsewhere."
    )


def _claimed(storage: Storage, wanted: Claim) -> bool:
    """Whether the version is this export's, from now on or from before, and not pruned."""
    try:
        return _is_ours(storage, wanted)
    except InvalidRecord as err:
        if isinstance(err, NewerRecord):
            raise
        # Whose a version with a damaged record is, nobody can say: the next revision is as good.
        logger.warning("skipped the version %d: %s", wanted.version, err)
        return False


def _is_ours(storage: Storage, wanted: Claim) -> bool:
    standing = read_claim(storage, wanted.model, wanted.version)
    if standing is None:
        try:
            storage.create(claim_name(wanted.model, wanted.version), encode_record(wanted))
            return True
        except AlreadyThere:
            standing = read_claim(storage, wanted.model, wanted.version)
    if standing != wanted:
        return False
    release = read_release(storage, wanted.model, wanted.version)
    return release is None or release.pruned is None
