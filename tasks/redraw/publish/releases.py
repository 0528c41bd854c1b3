"""The published versions of a model, from their release records."""

from __future__ import annotations

from redraw.publish.bucket.layout import list_versions, read_records
from redraw.publish.live.set_live import read_pointer
from redraw.records import Release, ReleaseList, UnreadableRecord
from redraw.requests import ReleasesRequest
from redraw.storage.opening import Storage, open_storage


def list_releases(request: ReleasesRequest) -> ReleaseList:
    """List a model's published versions, the newest weights first.

    Args:
        request: The model and its bucket.

    Returns:
        The release records, also of pruned versions, and the live version; none if the model was never
        published. Records that are damaged, or that a newer version of Redraw wrote, are listed separately.

    Raises:
        InvalidRecord: The live pointer cannot be read.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    model = request.model
    storage = open_storage(request.bucket)
    releases, unreadable = read_releases(storage, model)
    return ReleaseList(
        model=model,
        live=read_pointer(storage, model).version,
        releases=releases,
        unreadable=tuple(unreadable.values()),
    )


def read_releases(storage: Storage, model: str) -> tuple[tuple[Release, ...], dict[int, UnreadableRecord]]:
    """Every release record of a model, also of pruned versions.

    Returns:
        The records, the newest weights first, and the versions whose record is damaged, or of a newer
        version of Redraw.
    """
    records, unreadable = read_records(storage, model, list_versions(storage, model))
    return tuple(records.values()), unreadable
