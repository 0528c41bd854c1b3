"""Download objects: small ones into memory, others into files, with resumption after a failure."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, BinaryIO

import google_crc32c
from google.api_core import exceptions as api
from google.cloud.storage.exceptions import DataCorruption  # noqa: TID253 - only gs:// URIs load this module

from redraw.errors import StorageUnavailable
from redraw.storage.gcs_retry import Patience, Progress
from redraw.storage.interface import StoredObject

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

_BLOCK = 1 << 20


class TooLarge(Exception):  # noqa: N818 - ends a download
    """An object has more bytes than may be in memory."""


class SmallContent(io.BytesIO):
    """The content of a small object, with a limit."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def fill(self, blob: Any, timeout: object) -> None:
        """Download an object from its start, checked by its checksum."""
        self.seek(0)
        self.truncate()
        blob.download_to_file(self, checksum="crc32c", retry=None, timeout=timeout)

    def write(self, data: Buffer) -> int:
        """Add a part; the first part beyond the limit ends the download."""
        size = super().write(data)
        if self.tell() > self._most:
            raise TooLarge
        return size


class _Sink:
    """A file that records when bytes arrive, and their checksum."""

    def __init__(self, file: BinaryIO, progress: Progress) -> None:
        self._file, self._progress = file, progress
        self.size, self.crc32c = 0, 0

    def write(self, data: bytes) -> int:
        self._progress.move()
        self._file.write(data)
        self.crc32c = google_crc32c.extend(self.crc32c, data)
        self.size += len(data)
        return len(data)

    def restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self.size, self.crc32c = 0, 0


def fetch(blob: Any, file: BinaryIO, described: StoredObject, patience: Patience) -> None:
    """Download the stored bytes of one generation of an object, and check their checksum.

    Args:
        blob: The `google.cloud.storage.Blob`, with its generation.
        file: The target, empty.
        described: Its size and crc32c.
        patience: How long to retry: an interrupted download resumes, an altered one starts again.

    Raises:
        StorageUnavailable: The generation no longer exists.
        google.api_core.exceptions.GoogleAPIError: The service refused, or the retries are used up.
    """
    progress = Progress()
    sink = _Sink(file, progress)

    def attempt() -> None:
        if sink.size < described.size:
            _read(blob, sink, patience)
        if (sink.size, sink.crc32c) != (described.size, described.crc32c):
            received = f"{sink.size} with {sink.crc32c}"
            sink.restart()
            raise DataCorruption(
                None, f"expected {described.size} bytes with crc32c {described.crc32c}, got {received}"
            )

    patience.keep_trying(attempt, progress)


def _read(blob: Any, sink: _Sink, patience: Patience) -> None:
    options: dict[str, Any] = {"raw_download": True, "checksum": None, "retry": None}
    try:
        blob.download_to_file(sink, start=sink.size or None, timeout=patience.silence, **options)
    except api.NotFound as err:
        raise StorageUnavailable(
            f"gs://{blob.bucket.name}/{blob.name}: the object was replaced or removed while it was being"
            " read. Wait until nothing writes to it, then run the same command again."
        ) from err
