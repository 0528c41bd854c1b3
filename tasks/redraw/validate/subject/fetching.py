"""Fetch the export to examine and the live version that it would replace: records and files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from redraw.errors import InvalidRecord
from redraw.names import ModelName
from redraw.publish.bucket.verified import demand_verified, fetch_verified
from redraw.publish.live.set_live import read_pointer
from redraw.records import ExaminedObjects, ExportedModel
from redraw.requests import ValidateRequest
from redraw.storage.opening import download_tree, open_storage, read_uri
from redraw.storage.scratch import demand_room
from redraw.uri import BucketUri, Uri
from redraw.validate.subject.subject import LiveVersion


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """The files of an export on this machine.

    Attributes:
        folder: The folder of the files.
        objects: The objects that were read, if the export is in a bucket.
    """

    folder: Path
    objects: ExaminedObjects | None = None


def read_exported(request: ValidateRequest) -> ExportedModel:
    """The export's record, from the request or from the file next to the SavedModel's folder.

    Raises:
        InvalidRecord: There is no such record, or it belongs to another model.
    """
    exported = request.saved_model
    if isinstance(exported, Uri):
        uri = exported.absolute().with_ending(".json")
        content = read_uri(uri)
        if content is None:
            raise InvalidRecord(
                f"{uri}: expected the record that 'redraw export' writes next to {exported}, found no such"
                " file. Export again."
            )
        exported = ExportedModel.from_text(content, uri)
    if exported.model != request.model:
        raise InvalidRecord(
            f"{exported.uri}: expected an export of model {request.model!r}, got one of {exported.model!r}."
            " Name an export of this model."
        )
    return exported


def fetch_files(request: ValidateRequest, exported: ExportedModel, scratch: Path) -> Fetched:
    """Bring an export to this machine; an export in a bucket is downloaded once for all checks.

    The result has the generation of each object: as long as it stays the same, the object has not
    changed, and a later push need not read it again.

    Args:
        request: The request to validate.
        exported: The export's record.
        scratch: A folder for the download.

    Returns:
        The folder; if the request names one on this machine, it may not exist.

    Raises:
        DiskFull: There is no room for it.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    saved_model = request.saved_model
    uri = saved_model if isinstance(saved_model, Uri) else saved_model.uri
    if not uri.is_bucket:
        return Fetched(folder=Path(uri))
    demand_room(scratch, exported.size_bytes)
    storage, folder = open_storage(uri), scratch / "export"
    fetched = download_tree(storage, "", folder)
    generations = {item.name: item.generation for item in fetched}
    return Fetched(folder=folder, objects=ExaminedObjects(uri=storage.uri, generations=generations))


def find_live_version(model: ModelName, bucket: BucketUri | None, scratch: Path) -> LiveVersion | None:
    """Find a model's live version.

    Args:
        model: The definition's name.
        bucket: `gs://` URI of the model bucket; None if the export is not compared with a live version.
        scratch: A folder for its files.

    Returns:
        The live version; None if `bucket` is None or no version is live yet.

    Raises:
        VersionNotFound: The pointer names a version that is not published.
        ObjectConflict: Its objects differ from what was published.
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
