"""Open a storage: a local folder or a Cloud Storage bucket, behind one small interface.

Creating never overwrites an object, and replacing affects only the generation that was read. The storage
itself decides both, so that many processes on many machines may use one bucket. The client library is
imported only when a gs:// URI is opened.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from redraw.errors import InvalidName, InvalidRecord, NewerRecord, OutputExists, StorageUnavailable
from redraw.records import Record
from redraw.storage.files import write_atomically
from redraw.storage.interface import Absent as Absent
from redraw.storage.interface import AlreadyThere as AlreadyThere
from redraw.storage.interface import Changed as Changed
from redraw.storage.interface import FileAltered as FileAltered
from redraw.storage.interface import Storage as Storage
from redraw.storage.interface import StoredObject as StoredObject
from redraw.storage.interface import removal_command as removal_command
from redraw.storage.pause import pauses
from redraw.storage.trees import SMALL_STREAMS as SMALL_STREAMS
from redraw.storage.trees import copy_or_match as copy_or_match
from redraw.storage.trees import create_or_match as create_or_match
from redraw.storage.trees import download_tree as download_tree
from redraw.storage.trees import in_parallel as in_parallel
from redraw.storage.trees import map_ahead as map_ahead
from redraw.storage.trees import streams_for as streams_for
from redraw.storage.trees import upload_tree as upload_tree
from redraw.uri import BucketUri, Uri

_LARGEST = 64 << 20


def open_storage(uri: str) -> Storage:
    """Open a folder or a bucket; this sends no request.

    Args:
        uri: A local folder, `gs://BUCKET` or `gs://BUCKET/PREFIX`.

    Returns:
        Its objects, named relative to the URI.

    Raises:
        InvalidName: The URI has another scheme, or its bucket or prefix could lead elsewhere.
        StorageForbidden: No credentials were found for the bucket.
    """
    if not Uri(uri).is_bucket:
        from redraw.storage.local import LocalStorage

        return LocalStorage(Path(uri))
    from redraw.storage.gcs import GcsStorage

    return GcsStorage(BucketUri(uri))


def read_uri(uri: str, most: int | None = None) -> bytes | None:
    """The content of one small file, local or in a bucket; None if it does not exist.

    Args:
        uri: A path, or `gs://BUCKET/NAME`.
        most: Read only so many bytes, of a file that may be large.

    Raises:
        InvalidName: The URI has another scheme, or could lead elsewhere.
    """
    folder, name = _split(Uri(uri))
    storage = open_storage(folder)
    if most is None:
        return storage.read(name)
    try:
        return storage.read_range(name, 0, most)
    except Absent:
        return None


def write_uri(uri: str, data: bytes) -> None:
    """Write one small file, local or in a bucket; an existing file is replaced.

    Args:
        uri: A path, whose folder need not exist, or `gs://BUCKET/NAME`.
        data: Its content.

    Raises:
        DiskFull: No space is left for it.
        InvalidName: The URI has another scheme, or could lead elsewhere.
        StorageError: The bucket cannot be written to, or others keep writing the file.
    """
    uri = Uri(uri)
    if not uri.is_bucket:
        Path(uri).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(Path(uri), data)
        return
    folder, name = _split(uri)
    storage = open_storage(folder)
    for pause in pauses():
        # Tried first, because for a new file it needs only the permission to create.
        with contextlib.suppress(AlreadyThere):
            storage.create(name, data)
            return
        existing = storage.stat(name)
        if existing is not None:
            with contextlib.suppress(Changed):
                storage.replace(name, data, existing.generation)
                return
        pause()  # another process wrote in between; this write comes after it
    raise StorageUnavailable(
        f"{uri}: could not write the object, because another process changed it on every try. Wait until"
        " that process ends, then run the same command again."
    )


def _split(uri: Uri) -> tuple[Uri, str]:
    if uri.is_bucket and not uri.key:
        raise InvalidName(f"{uri}: expected gs://BUCKET/NAME, got only a bucket. Name a file in the bucket.")
    return uri.parent, uri.name


def demand_replaceable(uri: Uri, kind: type[Record], option: str) -> None:
    """Refuse to overwrite anything but an earlier record of the same kind.

    Args:
        uri: Where the record will be written.
        kind: Its class.
        option: The flag with the URI, for the message.

    Raises:
        NewerRecord: A later release wrote the existing record.
        OutputExists: There is another file, such as an input, or a folder.
    """
    try:
        if not uri.is_bucket and Path(uri).is_dir():
            raise IsADirectoryError(uri)
        content = read_uri(uri, _LARGEST)
        if content is not None:
            kind.from_text(content, uri, _LARGEST)
    except NewerRecord:
        raise
    except (InvalidRecord, IsADirectoryError) as err:
        raise OutputExists(
            f"{uri}: expected no file, or an earlier {kind.__name__}, got another file."
            f" Choose another {option}."
        ) from err
