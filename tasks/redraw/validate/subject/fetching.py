"""The export to examine and the version it would replace: their records, and their files on this machine."""

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
        folder: Where they are.
        objects: Which they were, if they lay in a bucket.
    """

    folder: Path
    objects: ExaminedObjects | None = None


def read_exported(request: ValidateRequest) -> ExportedModel:
    """The export's record, as given or from the file next to the SavedModel's folder.

    Raises:
        InvalidRecord: There is no such record, or it is of another model.
    """
    given = request.saved_model
    if isinstance(given, Uri):
        uri = given.absolute().with_ending(".json")
        content = read_uri(uri)
        if content is None:
            raise InvalidRecord(
                f"{uri}: expected the record that export writes next to {given}, got no such file."
                " Export again."
            )
        given = ExportedModel.from_text(content, uri)
    if given.model != request.model:
        raise InvalidRecord(
            f"{given.uri}: expected an export of model {request.model!r}, got one of {given.model!r}."
            " Name an export of this model."
        )
    return given


def fetch_files(request: ValidateRequest, exported: ExportedModel, scratch: Path) -> Fetched:
    """The export's folder on this machine; one in a bucket is fetched, once for all checks.

    An object that has been read stays what it was as long as it has that generation, which tells a
    push later on what need not be read again.

    Args:
        request: What was asked for.
        exported: The export's record.
        scratch: A folder for what is fetched.

    Returns:
        The folder, which need not exist where it was said to be on this machine.

    Raises:
        DiskFull: There is no room for it.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    given = request.saved_model
    uri = given if isinstance(given, Uri) else given.uri
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
