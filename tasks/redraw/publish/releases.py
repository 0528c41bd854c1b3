"""The published versions of a model, as their release records tell."""

from __future__ import annotations

from redraw.names import check_bucket, check_model_name
from redraw.publish.bucket.layout import list_versions, read_release
from redraw.publish.live.set_live import read_pointer
from redraw.records import Release, ReleaseList
from redraw.requests import ReleasesRequest
from redraw.storage.opening import Storage, in_parallel, open_storage

__all__ = ["list_releases", "read_releases"]


def list_releases(request: ReleasesRequest) -> ReleaseList:
    """List a model's published versions, the newest weights first.

    Args:
        request: The model and its bucket.

    Returns:
        The release records, those of pruned versions too, and which version is live; none for a
        model that was never published.

    Raises:
        InvalidRecord: A release record is damaged.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    model = check_model_name(request.model)
    storage = open_storage(check_bucket(request.bucket))
    releases = read_releases(storage, model)
    return ReleaseList(model=model, live=read_pointer(storage, model).version, releases=releases)


def read_releases(storage: Storage, model: str) -> tuple[Release, ...]:
    """Every release record of a model, those of pruned versions too, the newest weights first."""

    def read(version: int) -> Release | None:
        return read_release(storage, model, version)

    # A release that was removed between the listing and the reading is no longer one.
    found = in_parallel(read, list_versions(storage, model))
    return tuple(release for release in found if release is not None)
