"""Objects in a Cloud Storage bucket, by google-cloud-storage."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from google.api_core import exceptions as api

from redraw.names import check_object_name
from redraw.storage.files import checksum_of, partial_path, writing_to
from redraw.storage.gcs_batch import Deletions, find_gone
from redraw.storage.gcs_described import LISTED_FIELDS, demand_stored, describe_blob, describe_resource
from redraw.storage.gcs_download import SmallContent, TooLarge, fetch
from redraw.storage.gcs_errors import translating
from redraw.storage.gcs_retry import Patience, Progress
from redraw.storage.gcs_session import connect
from redraw.storage.gcs_upload import MediaUploads, Upload, copy_object
from redraw.storage.interface import (
    SMALL_BYTES,
    Absent,
    AlreadyThere,
    Changed,
    Storage,
    StoredObject,
    demand_small,
    skip_misnamed,
)
from redraw.uri import BucketUri

_LIST = "storage.objects.list"
_GET = "storage.objects.get"
_CREATE = "storage.objects.create"
_DELETE = "storage.objects.delete"
_REPLACE = f"{_CREATE} and {_DELETE}"
# The largest page that the service returns.
_PAGE_SIZE = 1000
_STREAMS = 16


class GcsStorage:
    """A bucket, or the objects below a prefix in one."""

    def __init__(self, uri: BucketUri) -> None:
        self._patience = Patience.read()
        self._start = f"{uri.key}/" if uri.key else ""
        self._uri = uri
        self._bucket_exists = False
        with translating(self._uri, "credentials"):
            self._client, self._session = connect(os.environ.get("STORAGE_EMULATOR_HOST"))
        self._bucket = self._client.bucket(uri.bucket)
        self._media = MediaUploads(self._session, self._patience)

    @property
    def uri(self) -> BucketUri:
        """The bucket, or the prefix in it."""
        return self._uri

    def list(self, prefix: str = "") -> list[StoredObject]:
        """The objects whose names start with `prefix`, without placeholders of folders."""
        objects = sorted(self._walk(prefix), key=lambda item: item.name)
        for item in objects:
            check_object_name(item.name)
        return objects

    def walk(self, prefix: str = "", *, deep: bool = True) -> Iterator[StoredObject]:
        """The objects whose names start with `prefix`, read a page at a time."""
        return skip_misnamed(self._walk(prefix, deep=deep), self._uri)

    def _walk(self, prefix: str, *, deep: bool = True) -> Iterator[StoredObject]:
        pages = self._listing(prefix, deep=deep).pages
        while (page := self._next_page(pages, prefix)) is not None:
            yield from (item for item in page if not item.name.endswith("/"))

    def folders(self) -> tuple[str, ...]:
        """The top-level folders: the first parts of names with several parts."""
        listing = self._listing("", deep=False, fields="prefixes,nextPageToken")
        with translating(self._uri, _LIST):
            for _ in listing.pages:
                pass
        self._bucket_exists = True
        return tuple(sorted(name.removeprefix(self._start)[:-1] for name in listing.prefixes))

    def _listing(self, prefix: str, *, deep: bool, fields: str = LISTED_FIELDS) -> Any:
        return self._client.list_blobs(
            self._bucket,
            prefix=self._start + prefix,
            delimiter=None if deep else "/",
            fields=fields,
            page_size=_PAGE_SIZE,
            **self._patience.options,
        )

    def _next_page(self, pages: Iterator[Any], prefix: str) -> tuple[StoredObject, ...] | None:
        with translating(f"{self._uri}/{prefix}", _LIST):
            page = next(pages, None)
            blobs = None if page is None else [*page]
        self._bucket_exists = True
        return None if blobs is None else self._described(blobs)

    def _described(self, blobs: Sequence[Any]) -> tuple[StoredObject, ...]:
        """A page of a listing. It lacks checksums of objects under a customer's key: these are asked for."""
        if any(blob.crc32c is None for blob in blobs):
            with ThreadPoolExecutor(_STREAMS) as pool:
                # An object that was removed meanwhile is left out.
                blobs = [blob for blob in pool.map(self._completed, blobs) if blob is not None]
        return tuple(describe_blob(blob, self._start, str(self._uri)) for blob in blobs)

    def _completed(self, blob: Any) -> Any:
        if blob.crc32c is not None:
            return blob
        with translating(f"gs://{self._bucket.name}/{blob.name}", _GET):
            return self._bucket.get_blob(blob.name, **self._patience.options)

    def stat(self, name: str) -> StoredObject | None:
        """Describe one object."""
        with translating(self._uri_of(name), _GET):
            blob = self._bucket.get_blob(self._key(name), **self._patience.options)
        if blob is None:
            self._demand_bucket(name)
            return None
        return describe_blob(blob, self._start, str(self._uri))

    def read(self, name: str, most: int = SMALL_BYTES) -> bytes | None:
        """A small object's content."""
        blob = self._bucket.blob(self._key(name))
        content = SmallContent(most)
        fill = functools.partial(content.fill, blob, self._patience.silence)
        with translating(self._uri_of(name), _GET), contextlib.suppress(TooLarge):
            try:
                self._patience.keep_trying(fill)
            except api.NotFound:
                self._demand_bucket(name)
                return None
        return demand_small(self._uri_of(name), content.getvalue(), most)

    def read_with_generation(self, name: str, most: int = SMALL_BYTES) -> tuple[bytes, int] | None:
        """A small object's content and the generation to replace."""
        described = self.stat(name)
        content = self.read(name, most) if described else None
        return (content, described.generation) if described and content is not None else None

    def read_range(self, name: str, offset: int, size: int, generation: int | None = None) -> bytes:
        """A part of an object's content, in one request; its bytes as they are stored."""
        if not size:
            return b""
        blob = self._bucket.blob(self._key(name), generation=generation)
        read = functools.partial(
            blob.download_as_bytes,
            retry=None,
            timeout=self._patience.silence,
            start=offset,
            end=offset + size - 1,
            raw_download=True,
            checksum=None,  # the service has only the checksum of the whole object
        )
        with translating(self._uri_of(name), _GET):
            try:
                part: bytes = self._patience.keep_trying(read)
            except api.NotFound as err:
                exists = generation is not None and self.stat(name) is not None
                self._demand_bucket(name)
                raise (Changed if exists else Absent)(self._uri_of(name)) from err
            except api.RequestRangeNotSatisfiable:
                return b""
        return part

    def download(self, name: str, path: Path) -> StoredObject:
        """Copy an object's stored bytes to a file, and verify their checksum."""
        described = self.stat(name)
        if described is None:
            raise Absent(self._uri_of(name))
        # The generation that was described, even if the object is replaced meanwhile.
        blob = self._bucket.blob(self._key(name), generation=described.generation)
        with writing_to(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        partial = partial_path(path)
        try:
            with writing_to(path), translating(self._uri_of(name), _GET), partial.open("xb") as file:
                fetch(blob, file, described, self._patience)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return described

    def create(
        self, name: str, source: bytes | Path, crc32c: int | None = None, sha256: str | None = None
    ) -> StoredObject:
        """Create an object in one request; it must not exist yet."""
        return self._send(replace(self._upload_of(name, source, crc32c), sha256=sha256), AlreadyThere)

    def replace(self, name: str, data: bytes, generation: int) -> StoredObject:
        """Replace the generation of an object that was read."""
        return self._send(replace(self._upload_of(name, data), generation=generation), Changed)

    def copy_from(self, source: Storage, stored: StoredObject, name: str) -> StoredObject:
        """Have the service copy an object of a bucket; the process's identity needs access to both."""
        if not isinstance(source, GcsStorage):
            raise NotImplementedError(f"{self.uri}: copies only from buckets, not from {source.uri}")
        origin = source._bucket.blob(source._start + stored.name, generation=stored.generation)
        target = self._bucket.blob(self._key(name))
        uri, origin_uri = self._uri_of(name), source._uri_of(stored.name)
        with translating(uri, f"{_CREATE}, and {_GET} of {origin_uri}"):
            try:
                resource = copy_object(origin, target, self._patience)
            except api.PreconditionFailed as err:
                raise AlreadyThere(uri) from err
            except api.NotFound as err:
                source._demand_bucket(stored.name)
                self._demand_bucket(name)
                raise Changed(origin_uri) from err
        self._bucket_exists = True
        return demand_stored(uri, describe_resource(resource, self._start, uri), stored)

    def delete(self, name: str, generation: int) -> None:
        """Remove the generation of an object that was read or listed."""
        blob = self._bucket.blob(self._key(name))
        with translating(self._uri_of(name), _DELETE):
            try:
                blob.delete(if_generation_match=generation, **self._patience.options)
            except api.PreconditionFailed as err:
                raise Changed(self._uri_of(name)) from err
            except api.NotFound:
                self._demand_bucket(name)

    def delete_many(self, objects: Iterable[StoredObject]) -> None:
        """Remove the listed generations of objects, a hundred in a request if the server supports that."""
        with translating(self._uri, _DELETE):
            refused = self._deletions.send([(self._key(item.name), item) for item in objects])

        def delete(item: StoredObject) -> None:
            with contextlib.suppress(Changed):
                self.delete(item.name, item.generation)

        with ThreadPoolExecutor(_STREAMS) as pool:
            for _ in pool.map(delete, refused):
                pass

    @functools.cached_property
    def _deletions(self) -> Deletions:
        return Deletions(self._session, self._client.api_endpoint, self._bucket.name, self._patience)

    def kept_when_deleted(self, prefix: str) -> Iterator[str]:
        """Describe noncurrent versions and soft-deleted objects."""
        with translating(f"{self._uri}/{prefix}", _LIST):
            yield from find_gone(self._client, self._bucket, self._start + prefix, self._patience)

    def _upload_of(self, name: str, source: bytes | Path, crc32c: int | None = None) -> Upload:
        small = isinstance(source, bytes)
        return Upload(
            endpoint=self._client.api_endpoint,
            bucket=self._bucket.name,
            name=self._key(name),
            source=source,
            size=len(source) if isinstance(source, bytes) else source.stat().st_size,
            crc32c=checksum_of(source) if crc32c is None else crc32c,
            generation=0,
            # Records and the live pointer must be current; by default caches answer for the objects of a
            # public bucket for an hour.
            cache_control="no-store" if small else "",
        )

    def _send(self, upload: Upload, refused: type[Exception]) -> StoredObject:
        uri, progress = f"gs://{upload.bucket}/{upload.name}", Progress()
        upload = self._media.prefer(upload)
        send = functools.partial(upload.send, self._session, self._patience.silence, progress)
        with translating(uri, _REPLACE if upload.generation else _CREATE):
            try:
                resource = self._patience.keep_trying(send, progress)
            except api.PreconditionFailed as err:
                raise refused(uri) from err
        self._bucket_exists = True
        return demand_stored(uri, describe_resource(resource, self._start, uri), upload)

    def _demand_bucket(self, name: str) -> None:
        """Distinguish a missing object from a missing bucket: the status of both is 404.

        It lists with the object's name as the prefix: the stages have the permission to list there anyway.
        """
        if self._bucket_exists:
            return
        options = {"prefix": self._key(name), "max_results": 1, **self._patience.options}
        with translating(self._uri, _LIST):
            list(self._client.list_blobs(self._bucket, **options))
        self._bucket_exists = True

    def _key(self, name: str) -> str:
        return self._start + check_object_name(name)

    def _uri_of(self, name: str) -> str:
        return f"{self._uri}/{name}"
