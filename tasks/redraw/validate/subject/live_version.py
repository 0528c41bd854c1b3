"""The version that an export would replace, fetched when a check first asks for its files."""

from __future__ import annotations

from pathlib import Path

from redraw.names import ModelName
from redraw.publish.bucket.verified import demand_verified, fetch_verified
from redraw.publish.live.set_live import read_pointer
from redraw.storage.opening import open_storage
from redraw.uri import BucketUri
from redraw.validate.subject.subject import LiveVersion


def find_live_version(model: ModelName, bucket: BucketUri | None, scratch: Path) -> LiveVersion | None:
    """Find a model's live version.

    Args:
        model: The definition's name.
        bucket: `gs://` URI of the model bucket; None to compare with none.
        scratch: Where its files may go.

    Returns:
        The live version; None where none is asked for, or none is live yet.

    Raises:
        VersionNotFound: The pointer names a version that is not published.
        ObjectConflict: Its objects are no longer what was published.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    if bucket is None:
        return None
    storage = open_storage(bucket)
    version = read_pointer(storage, model).version
    if version is None:
        return None

    def fetch() -> Path:
        fetch_verified(storage, model, version, scratch / "live")
        return scratch / "live"

    return LiveVersion(release=demand_verified(storage, model, version), fetch=fetch)
