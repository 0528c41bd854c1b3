"""Copy folders to a storage and back: several files at once, without overwriting objects."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from redraw.errors import ObjectConflict, StorageUnavailable
from redraw.names import check_object_name
from redraw.records.files import ListedFile
from redraw.storage.files import TreeFile
from redraw.storage.interface import Absent, AlreadyThere, FileAltered, Storage, StoredObject, removal_command

# For small objects latency counts, not bandwidth: sixteen requests hide the latency of a nearby bucket, and
# more would wait for each other in Python.
SMALL_STREAMS = 16
# Four streams of large objects use the full bandwidth; more only cost memory.
_LARGE_STREAMS = 4
_LARGE = 4 << 20

T = TypeVar("T")
U = TypeVar("U")


def upload_tree(storage: Storage, prefix: str, files: Iterable[TreeFile]) -> list[StoredObject]:
    """Create the objects of a folder's files, unless they exist with the same content.

    Args:
        storage: The target.
        prefix: The folder in the storage, without a slash at its end.
        files: The files of `redraw.storage.files.scan_tree`, or some of them.

    Returns:
        The objects, in the files' order.

    Raises:
        ObjectConflict: An object exists with other content; it is not changed.
        StorageUnavailable: A file changed while it was copied.
    """
    files = list(files)
    try:
        return in_parallel(
            lambda file: create_or_match(storage, f"{prefix}/{file.name}", file, file.path),
            files,
            streams_for(file.size for file in files),
        )
    except FileAltered as err:
        raise StorageUnavailable(
            f"{storage.uri}/{prefix}: a file changed while it was being uploaded ({err}). Run the same"
            " command again."
        ) from err


def create_or_match(storage: Storage, name: str, file: ListedFile, source: bytes | Path) -> StoredObject:
    """Create one object, unless it exists with the same content.

    Args:
        storage: The target.
        name: The object's name.
        file: Its size and checksums.
        source: Its content, or the file that holds it.

    Raises:
        ObjectConflict: The object exists with other content; it is not changed.
        FileAltered: The file does not match its size or checksums; no object is created.
    """
    return _create_or_compare(
        storage, name, file, lambda: storage.create(name, source, file.crc32c, file.sha256)
    )


def copy_or_match(
    storage: Storage, name: str, file: ListedFile, source: Storage, stored: StoredObject
) -> StoredObject:
    """Copy one object from bucket to bucket, unless it exists with the same content.

    Args:
        storage: The target.
        name: The new object's name.
        file: Its size and checksums.
        source: The storage of the object to copy.
        stored: The object to copy, of that size and crc32c.

    Raises:
        ObjectConflict: The object exists with other content; it is not changed.
        Changed: The object to copy was replaced or removed.
    """
    return _create_or_compare(storage, name, file, lambda: storage.copy_from(source, stored, name))


def _create_or_compare(
    storage: Storage, name: str, file: ListedFile, make: Callable[[], StoredObject]
) -> StoredObject:
    try:
        return make()
    except AlreadyThere:
        item = storage.stat(name)
    if item is None:
        raise StorageUnavailable(
            f"{storage.uri}/{name}: another process removed the object in the meantime. Wait until that"
            " process ends, then run the same command again."
        )
    if (item.size, item.crc32c) != (file.size, file.crc32c):
        raise ObjectConflict(
            f"{storage.uri}/{name}: expected {file.size} bytes with crc32c {file.crc32c:08x}, got"
            f" {item.size} bytes with {item.crc32c!r:.10}. The object was not changed. If no one needs it,"
            f" remove it: {removal_command(f'{storage.uri}/{name}', item.generation)}"
        )
    return item


def download_tree(storage: Storage, prefix: str, folder: Path) -> list[StoredObject]:
    """Download the objects of a folder, and verify each by its crc32c if the storage has it.

    Args:
        storage: The source.
        prefix: The folder in the storage, without a slash at its end; '' for the root.
        folder: The target, created if necessary. Files of the same names are replaced.

    Returns:
        The objects, named relative to the storage's root.

    Raises:
        DiskFull: No space is left.
        StorageUnavailable: An object was removed, or arrived altered.
    """
    start = f"{prefix}/" if prefix else ""
    objects = storage.list(start)

    def fetch(item: StoredObject) -> StoredObject:
        path = folder / check_object_name(item.name.removeprefix(start))
        try:
            return storage.download(item.name, path)
        except Absent as err:
            raise StorageUnavailable(
                f"{storage.uri}/{item.name}: the object was removed in the meantime. Run the same command"
                " again."
            ) from err

    return in_parallel(fetch, objects, streams_for(item.size for item in objects))


def streams_for(sizes: Iterable[int]) -> int:
    """How many objects of these sizes, in bytes, to move at once."""
    sizes = list(sizes)
    return _LARGE_STREAMS if sizes and sum(sizes) / len(sizes) > _LARGE else SMALL_STREAMS


def in_parallel(function: Callable[[T], U], items: Iterable[T], streams: int = SMALL_STREAMS) -> list[U]:
    """Call a function for every item, a few at once; the first error cancels the remaining calls."""
    pool = ThreadPoolExecutor(streams)
    try:
        return [future.result() for future in [pool.submit(function, item) for item in items]]
    finally:
        pool.shutdown(cancel_futures=True)


def map_ahead(function: Callable[[T], U], items: Iterable[T], streams: int = SMALL_STREAMS) -> Iterator[U]:
    """Call a function for each item of a long iterable, a few at once, with only these in memory.

    Args:
        function: Called in other threads.
        items: Read one by one, in this thread.
        streams: How many calls run at once.

    Yields:
        The results, in the items' order; the first error ends it.
    """
    pool, pending = ThreadPoolExecutor(streams), deque[Future[U]]()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > streams:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
