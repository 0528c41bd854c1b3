"""Keras 3's `.keras`: an archive of the model's configuration and its weights.

The configuration may ask for code (a `Lambda` layer holds compiled Python), so no model
is ever built from it. The network is drawn by the definition; of the archive only the
weights are read, and the configuration is looked at for what it would have run.
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
# Keras writes a handful of members; what is read at once is their directory, or the configuration.
_MOST_MEMBERS, _LARGEST_READ = 10_000, 16 << 20
# Deflate writes at most 1032 bytes from one.
_MOST_EXPANSION = 1100
_METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}
_ENCRYPTED = 0x1
# What zipfile raises for a damaged file.
_DAMAGE = (zipfile.BadZipFile, zlib.error, LookupError, ValueError, EOFError, OSError, RuntimeError)
_PART, _ALL_WORDS = 1 << 20, 64 << 20
# A local file header: its fixed part, and where it says how long the rest is.
_MEMBER, _HEADER, _NAME_LENGTH, _EXTRA_LENGTH = b"PK\x03\x04", 30, 26, 28


class ArchiveSource(Hdf5Source):
    """A `.keras` file.

    Attributes:
        config: Its configuration, as JSON has it.
        keras_version: The version of Keras that wrote it; empty where it does not say.
        optimizer: The optimizer's part of that; None of a model that was not compiled.
        foreign_classes: The classes in its configuration that are not Keras' own, with
            their packages, and `Lambda`: what loading the model would run.
    """

    def __init__(self, located: Located) -> None:
        """Read the configuration, and what tensors there are.

        Raises:
            CheckpointCorrupt: It is damaged, or lacks one of its parts.
            CheckpointMismatch: Its weights point to other files.
            StorageError: The bucket cannot be read.
        """
        (file,) = located.files
        whole = self._whole = _Whole(located)
        try:
            with zipfile.ZipFile(whole.file()) as archive:
                _check_members(archive, file.size)
                self.config = _read_json(archive, _CONFIG)
                self.keras_version = _version(archive)
                weights = _weights(archive, whole)
        except _DAMAGE as err:
            damage = MalformedError(f"an archive with {_CONFIG} and {_WEIGHTS}", str(err)[:200])
            raise damage.found_in(located.uri) from err
        self.foreign_classes = tuple(sorted(set(find_foreign(self.config))))
        self.optimizer = _optimizer(self.config)
        self._open(located.uri, (file,), weights)
        self.format = "keras"

    def vocabularies(self) -> dict[str, tuple[str, ...]]:
        """Layer's name to the words that it keeps in a file of the archive.

        Raises:
            CheckpointCorrupt: One cannot be read.
        """
        found, left = {}, _ALL_WORDS
        try:
            with zipfile.ZipFile(self._whole.file()) as archive:
                for name in archive.namelist():
                    layer = self._name_at(match[1]) if (match := _WORDS.fullmatch(name)) else ""
                    if layer:
                        left -= archive.getinfo(name).file_size
                        if left < 0:
                            raise ValueError(f"more than {_ALL_WORDS} bytes of them")
                        found[layer] = tuple(_content(archive, name).decode().split("\n"))
        except _DAMAGE as err:
            raise MalformedError("vocabularies", str(err)[:200]).found_in(self.uri) from err
        return found

    def other_assets(self) -> tuple[str, ...]:
        """The files that layers' own code has put into the archive, which only it can read.

        Raises:
            CheckpointCorrupt: The archive cannot be read.
        """
        try:
            with zipfile.ZipFile(self._whole.file()) as archive:
                names = [info.filename for info in archive.infolist() if not info.is_dir()]
        except _DAMAGE as err:
            raise MalformedError("an archive's members", str(err)[:200]).found_in(self.uri) from err
        return tuple(name for name in names if name.startswith(_ASSETS) and not _WORDS.fullmatch(name))

    def _name_at(self, place: str) -> str:
        """The name of the layer whose files and weights are at a place; empty where there is none."""
        group = self._file.get(f"{place}/vars")
        return "" if group is None else text_attribute(group, "name")


class _Whole:
    """The archive's bytes, wherever it lies."""

    def __init__(self, located: Located) -> None:
        (self._file,) = located.files
        self._folder = located.folder

    def read(self, offset: int, size: int) -> bytes:
        return self._folder.read(self._file, offset, size)

    def file(self) -> _Bounded:
        return _Bounded(self.read, 0, self._file.size)


class _Bounded(FileRange):
    """A file of which a declared length cannot make anybody read very much at once."""

    def read(self, size: int = -1, /) -> bytes:
        left = max(0, self._size - self.tell())
        wanted = left if size < 0 else min(size, left)
        if wanted > _LARGEST_READ:
            raise ValueError(f"{wanted} bytes to read at once")
        return super().read(wanted) or b""


def _check_members(archive: zipfile.ZipFile, size: int) -> None:
    """Refuse what Keras never writes, by what the archive declares."""
    members = archive.infolist()
    if len(members) > _MOST_MEMBERS or len({member.filename for member in members}) < len(members):
        raise ValueError(f"{len(members)} members, or two of one name")
    for member in members:
        if member.flag_bits & _ENCRYPTED or member.compress_type not in _METHODS:
            raise ValueError(f"{member.filename} encrypted, or packed by method {member.compress_type}")
        most = size if member.compress_type == zipfile.ZIP_STORED else _MOST_EXPANSION * size
        if member.compress_size > size or member.file_size > most:
            raise ValueError(f"{member.filename} of {member.file_size} bytes in an archive of {size}")


def _read_json(archive: zipfile.ZipFile, name: str) -> Any:
    return parse_json(_content(archive, name), _LARGEST_CONFIG, _DEEPEST_CONFIG)


def _content(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > _LARGEST_CONFIG:
        raise ValueError(f"{name} of {archive.getinfo(name).file_size} bytes")
    return archive.read(name)


def _version(archive: zipfile.ZipFile) -> str:
    metadata = _read_json(archive, _METADATA) if _METADATA in archive.namelist() else {}
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    return version if isinstance(version, str) else ""


def _optimizer(config: Any) -> Mapping[str, Any] | None:
    compiled = config.get("compile_config") if isinstance(config, dict) else None
    optimizer = compiled.get("optimizer") if isinstance(compiled, dict) else None
    return optimizer if isinstance(optimizer, dict) and isinstance(optimizer.get("config"), dict) else None


def _weights(archive: zipfile.ZipFile, whole: _Whole) -> FileRange:
    """The weights inside the archive, without taking them out of it where they are stored plain."""
    info = archive.getinfo(_WEIGHTS)
    if info.compress_type != zipfile.ZIP_STORED:
        return _unpacked(archive)
    header = whole.read(info.header_offset, _HEADER)
    if not header.startswith(_MEMBER):
        raise ValueError(f"{_WEIGHTS} where it is not")
    lengths = (int.from_bytes(header[at : at + 2], "little") for at in (_NAME_LENGTH, _EXTRA_LENGTH))
    start = info.header_offset + _HEADER + sum(lengths)
    return FileRange(whole.read, start, info.file_size)


def _unpacked(archive: zipfile.ZipFile) -> FileRange:
    """The weights of an archive that somebody packed again, in scratch as long as they are used."""
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
    file = FileRange(lambda offset, wanted: os.pread(descriptor, wanted, offset), 0, path.stat().st_size)
    weakref.finalize(file, stack.close)
    return file
