"""Keras 3's `.keras`: an archive of the model's configuration and its weights.

The configuration may contain code (a `Lambda` layer holds compiled Python), so no model
is ever built from it. The definition builds the network; only the weights are read from
the archive, and the configuration is searched for code that it would have run.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import weakref
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.formats.file_ranges import FileRange
from redraw.checkpoint.formats.foreign import find_foreign
from redraw.checkpoint.formats.hdf5 import Hdf5Source
from redraw.checkpoint.formats.hdf5_objects import text_attribute
from redraw.checkpoint.formats.locate import Located
from redraw.records.json_text import parse_json
from redraw.storage.files import writing_to
from redraw.storage.scratch import scratch_folder

_CONFIG, _WEIGHTS, _METADATA = "config.json", "model.weights.h5", "metadata.json"
_ASSETS = "assets/"
_WORDS = re.compile(r"assets/(.+)/vocabulary\.txt")
_LARGEST_CONFIG, _DEEPEST_CONFIG = 16 << 20, 200
# Keras writes a handful of members. The largest single reads are their directory and the configuration.
_MOST_MEMBERS, _LARGEST_READ = 10_000, 16 << 20
# Deflate writes at most 1032 bytes from one.
_MOST_EXPANSION = 1100
_METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}
_ENCRYPTED = 0x1
# What zipfile raises for a damaged file.
_DAMAGE = (zipfile.BadZipFile, zlib.error, LookupError, ValueError, EOFError, OSError, RuntimeError)
_PART, _ALL_WORDS = 1 << 20, 64 << 20
# A local file header: the size of its fixed part, and the offsets of the lengths of the rest.
_MEMBER, _HEADER, _NAME_LENGTH, _EXTRA_LENGTH = b"PK\x03\x04", 30, 26, 28


class ArchiveSource(Hdf5Source):
    """A `.keras` file.

    Attributes:
        config: Its configuration, parsed from JSON.
        keras_version: The version of Keras that wrote it; empty if it is not stated.
        optimizer: The optimizer's part of the configuration; None if the model was not compiled.
        foreign_classes: The classes in its configuration that are not part of Keras, with
            their packages, and `Lambda`: the code that loading the model would run.
    """

    def __init__(self, located: Located) -> None:
        """Read the configuration and the list of tensors.

        Raises:
            CheckpointCorrupt: It is damaged, or lacks one of its parts.
            CheckpointMismatch: Its weights point to other files.
            StorageError: The bucket cannot be read.
        """
        (file,) = located.files
        archive_file = self._archive_file = _ArchiveFile(located)
        try:
            with zipfile.ZipFile(archive_file.file()) as archive:
                _check_members(archive, file.size)
                self.config = _read_json(archive, _CONFIG)
                self.keras_version = _version(archive)
                weights = _weights(archive, archive_file)
        except _DAMAGE as err:
            damage = MalformedError(f"an archive with {_CONFIG} and {_WEIGHTS}", str(err)[:200])
            raise damage.found_in(located.uri) from err
        self.foreign_classes = tuple(sorted(set(find_foreign(self.config))))
        self.optimizer = _optimizer(self.config)
        self._open(located.uri, (file,), weights)
        self.format = "keras"

    def vocabularies(self) -> dict[str, tuple[str, ...]]:
        """Layer's name to its vocabulary in a file of the archive.

        Raises:
            CheckpointCorrupt: A vocabulary cannot be read.
        """
        vocabularies, budget = {}, _ALL_WORDS
        try:
            with zipfile.ZipFile(self._archive_file.file()) as archive:
                for name in archive.namelist():
                    layer = self._name_at(match[1]) if (match := _WORDS.fullmatch(name)) else ""
                    if layer:
                        budget -= archive.getinfo(name).file_size
                        if budget < 0:
                            raise ValueError(f"more than {_ALL_WORDS} bytes of vocabularies")
                        vocabularies[layer] = tuple(_content(archive, name).decode().split("\n"))
        except _DAMAGE as err:
            raise MalformedError("vocabularies", str(err)[:200]).found_in(self.uri) from err
        return vocabularies

    def other_assets(self) -> tuple[str, ...]:
        """The files that the code of layers wrote into the archive, and that only it can read.

        Raises:
            CheckpointCorrupt: The archive cannot be read.
        """
        try:
            with zipfile.ZipFile(self._archive_file.file()) as archive:
                names = [info.filename for info in archive.infolist() if not info.is_dir()]
        except _DAMAGE as err:
            raise MalformedError("a readable list of the archive's files", str(err)[:200]).found_in(
                self.uri
            ) from err
        return tuple(name for name in names if name.startswith(_ASSETS) and not _WORDS.fullmatch(name))

    def _name_at(self, place: str) -> str:
        """The name of the layer whose files and weights are at a place; empty if there is none."""
        group = self._file.get(f"{place}/vars")
        return "" if group is None else text_attribute(group, "name")


class _ArchiveFile:
    """The archive's bytes, local or in a bucket."""

    def __init__(self, located: Located) -> None:
        (self._file,) = located.files
        self._folder = located.folder

    def read(self, offset: int, size: int) -> bytes:
        return self._folder.read(self._file, offset, size)

    def file(self) -> _Bounded:
        return _Bounded(self.read, 0, self._file.size)


class _Bounded(FileRange):
    """A file that limits a single read, so that a declared length cannot exhaust the memory."""

    def read(self, size: int = -1, /) -> bytes:
        remaining = max(0, self._size - self.tell())
        count = remaining if size < 0 else min(size, remaining)
        if count > _LARGEST_READ:
            raise ValueError(f"a declared length of {count} bytes, more than the limit of {_LARGEST_READ}")
        return super().read(count) or b""


def _check_members(archive: zipfile.ZipFile, size: int) -> None:
    """Refuse declared members that Keras never writes."""
    members = archive.infolist()
    if len(members) > _MOST_MEMBERS or len({member.filename for member in members}) < len(members):
        raise ValueError(f"{len(members)} files, which are more than {_MOST_MEMBERS} or share a name")
    for member in members:
        if member.flag_bits & _ENCRYPTED or member.compress_type not in _METHODS:
            raise ValueError(
                f"{member.filename}, which is encrypted or compressed by method {member.compress_type}"
            )
        most = size if member.compress_type == zipfile.ZIP_STORED else _MOST_EXPANSION * size
        if member.compress_size > size or member.file_size > most:
            raise ValueError(f"{member.filename} of {member.file_size} bytes in an archive of {size} bytes")


def _read_json(archive: zipfile.ZipFile, name: str) -> Any:
    return parse_json(_content(archive, name), _LARGEST_CONFIG, _DEEPEST_CONFIG)


def _content(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > _LARGEST_CONFIG:
        raise ValueError(
            f"{name} of {archive.getinfo(name).file_size} bytes, more than the limit of {_LARGEST_CONFIG}"
        )
    return archive.read(name)


def _version(archive: zipfile.ZipFile) -> str:
    metadata = _read_json(archive, _METADATA) if _METADATA in archive.namelist() else {}
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    return version if isinstance(version, str) else ""


def _optimizer(config: Any) -> Mapping[str, Any] | None:
    compiled = config.get("compile_config") if isinstance(config, dict) else None
    optimizer = compiled.get("optimizer") if isinstance(compiled, dict) else None
    return optimizer if isinstance(optimizer, dict) and isinstance(optimizer.get("config"), dict) else None


def _weights(archive: zipfile.ZipFile, archive_file: _ArchiveFile) -> FileRange:
    """The weights inside the archive; they are unpacked only if they are compressed."""
    info = archive.getinfo(_WEIGHTS)
    if info.compress_type != zipfile.ZIP_STORED:
        return _unpack(archive)
    header = archive_file.read(info.header_offset, _HEADER)
    if not header.startswith(_MEMBER):
        raise ValueError(f"{_WEIGHTS} without a local ZIP header")
    lengths = (
        int.from_bytes(header[offset : offset + 2], "little") for offset in (_NAME_LENGTH, _EXTRA_LENGTH)
    )
    start = info.header_offset + _HEADER + sum(lengths)
    return FileRange(archive_file.read, start, info.file_size)


def _unpack(archive: zipfile.ZipFile) -> FileRange:
    """Unpack compressed weights into scratch, which lasts as long as the returned file."""
    size, stack = archive.getinfo(_WEIGHTS).file_size, contextlib.ExitStack()
    path = stack.enter_context(scratch_folder("weights", size)) / "weights"
    try:
        with archive.open(_WEIGHTS) as packed, writing_to(path), path.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked, _PART)
        descriptor = os.open(path, os.O_RDONLY)
    except BaseException:
        stack.close()
        raise
    stack.callback(os.close, descriptor)
    file = FileRange(lambda offset, count: os.pread(descriptor, count, offset), 0, path.stat().st_size)
    weakref.finalize(file, stack.close)
    return file
