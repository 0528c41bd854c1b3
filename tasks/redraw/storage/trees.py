"""Whole folders into a storage and back: several files at once, nothing overwritten."""

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

# Small objects wait for the answer, not for the link: sixteen requests hide the latency of a bucket
# near by, and more wait for each other in Python.
SMALL_STREAMS = 16
# Four streams fill the link when a model lies in shards; more only cost memory.
_LARGE_STREAMS = 4
_LARGE = 4 << 20

T = TypeVar("T")
U = TypeVar("U")


def upload_tree(storage: Storage, prefix: str, files: Iterable[TreeFile]) -> list[StoredObject]:
    """Create the objects of a folder's files, as they are or as they were created before.

    Args:
        storage: Where to.
        prefix: The folder there, without a slash at its end.
        files: The files of `redraw.storage.files.scan_tree`, or some of them.

    Returns:
        The objects, in the files' order.

    Raises:
        ObjectConflict: Another content stands under one of the names; it is left alone.
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
            f"{storage.uri}/{prefix}: expected the files that were read before, got {err}. One of them"
            " changed while it was copied: run it again."
        ) from err


def create_or_match(storage: Storage, name: str, file: ListedFile, source: bytes | Path) -> StoredObject:
    """Create one object; the same content there already is as good.

    Args:
        storage: Where to.
        name: The object's name.
        file: Its size and checksums.
        source: Its content, or the file that holds it.

    Raises:
        ObjectConflict: Another content stands there; it is left alone.
        FileAltered: The file is not what was read before; no object is made of it.
    """
    return _made_or_found(storage, name, file, lambda: storage.create(name, source, file.crc32c, file.sha256))


def copy_or_match(
    storage: Storage, name: str, file: ListedFile, source: Storage, stored: StoredObject
) -> StoredObject:
    """Copy one object from bucket to bucket; the same content there already is as good.

    Args:
        storage: Where to.
        name: The new object's name.
        file: Its size and checksums.
        source: Where from.
        stored: The very object to copy, of that size and crc32c.

    Raises:
        ObjectConflict: Another content stands there; it is left alone.
        Changed: The object to copy was replaced or removed.
    """
    return _made_or_found(storage, name, file, lambda: storage.copy_from(source, stored, name))


def _made_or_found(
    storage: Storage, name: str, file: ListedFile, make: Callable[[], StoredObject]
) -> StoredObject:
    try:
        return make()
    except AlreadyThere:
        found = storage.stat(name)
    if found is None:
        raise StorageUnavailable(
            f"{storage.uri}/{name}: it was there and then was gone: somebody else removes objects."
            " Find out who, and run it again."
        )
    if (found.size, found.crc32c) != (file.size, file.crc32c):
        raise ObjectConflict(
            f"{storage.uri}/{name}: expected {file.size} bytes with crc32c {file.crc32c:08x}, got"
            f" {found.size} bytes with {found.crc32c!r:.10}. It is left as it is: find out who wrote it, and"
            f" remove it: {removal_command(f'{storage.uri}/{name}', found.generation)}"
        )
    return found


def download_tree(storage: Storage, prefix: str, folder: Path) -> list[StoredObject]:
    """Copy the objects of a folder into a local one, each verified by its crc32c where it is known.

    Args:
        storage: Where from.
        prefix: The folder there, without a slash at its end; '' for the root.
        folder: Where to; made if it is absent. Files in it of the same names are replaced.

    Returns:
        The objects, named relative to the storage's root; none where nothing is.

    Raises:
        DiskFull: No space is left.
        StorageUnavailable: An object vanished, or arrived altered.
    """
    start = f"{prefix}/" if prefix else ""
    objects = storage.list(start)

    def fetch(item: StoredObject) -> StoredObject:
        path = folder / check_object_name(item.name.removeprefix(start))
        try:
            return storage.download(item.name, path)
        except Absent as err:
            raise StorageUnavailable(
                f"{storage.uri}/{item.name}: it was listed and then was gone. Run it again."
            ) from err

    return in_parallel(fetch, objects, streams_for(item.size for item in objects))


def streams_for(sizes: Iterable[int]) -> int:
    """How many objects of these sizes, in bytes, to move at once."""
    known = list(sizes)
    return _LARGE_STREAMS if known and sum(known) / len(known) > _LARGE else SMALL_STREAMS


def in_parallel(function: Callable[[T], U], items: Iterable[T], streams: int = SMALL_STREAMS) -> list[U]:
    """Call for every item, a few at once; the first error ends it and leaves the rest undone."""
    pool = ThreadPoolExecutor(streams)
    try:
        return [future.result() for future in [pool.submit(function, item) for item in items]]
    finally:
        pool.shutdown(cancel_futures=True)


def map_ahead(function: Callable[[T], U], items: Iterable[T], streams: int = SMALL_STREAMS) -> Iterator[U]:
    """The same for items without number: a few are taken ahead, and only these are held.

    Args:
        function: Called in other threads.
        items: Taken one by one, in this thread.
        streams: How many are worked on at once.

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
