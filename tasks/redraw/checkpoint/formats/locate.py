"""Find the one checkpoint that a URI means, and tell its format by what its files hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from redraw.checkpoint.bundle.table import MAGIC
from redraw.checkpoint.formats.folder import Folder, FoundFile, list_beside, list_folder
from redraw.checkpoint.formats.state_file import STATE_FILE, newest_in_state_file
from redraw.errors import CheckpointCorrupt, CheckpointNotFound, short_list
from redraw.runs.folder import CHECKPOINTS, METRICS, RECORD
from redraw.uri import Uri

_INDEX = ".index"
_GRAPH_FILE = "saved_model.pb"
_VARIABLES = "variables/variables"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\x03\x04"
_TABLE = MAGIC.to_bytes(8, "little")
KERAS_FILE = re.compile(r".+\.(keras|h5|hdf5|weights\.json)")
_KERAS_ENDING = re.compile(r"(\.weights)?\.(keras|h5|hdf5)$|\.weights\.json$")
# What Keras writes with max_shard_size: `m.weights.json` says which of `m_00000.weights.h5` has what.
SHARD_INDEX, SHARD_OF_KERAS = ".weights.json", re.compile(r"(?P<base>.+)_\d{5,}\.weights\.h5")
# Pieces that are none of a whole: of a save that ended before its parts were merged, and of other libraries.
PIECE = re.compile(r"(.*/)?(part-\d{5}-of-\d{5}|.+-\d+-of-\d+\.(h5|hdf5|keras))")
_SHARD_OF_V1 = re.compile(r"(?P<prefix>.+)-\d{5}-of-\d{5}")
# As many digits as a step of 63 bits may have.
_STEP = re.compile(r"(?<!-of)-([0-9]{1,18})$")


@dataclass(frozen=True, kw_only=True)
class Located:
    """One checkpoint's files.

    Attributes:
        kind: `bundle`, `hdf5`, `sharded`, `archive` or `saver_v1`.
        folder: Where they are.
        name: The file in the folder, or what the names of several begin with.
    """

    kind: str
    folder: Folder
    name: str

    @property
    def uri(self) -> Uri:
        """What the checkpoint is called."""
        return self.folder.uri_of(self.name)

    @property
    def files(self) -> tuple[FoundFile, ...]:
        """Its files."""
        begin = re.escape(self.name)
        patterns = {
            "bundle": rf"{begin}\.(index|data-\d+-of-\d+)",
            "saver_v1": rf"{begin}(-\d{{5}}-of-\d{{5}})?",
            "sharded": rf"{begin}|{re.escape(self.name.removesuffix(SHARD_INDEX))}_\d{{5,}}\.weights\.h5",
        }
        pattern = re.compile(patterns.get(self.kind, begin))
        return tuple(file for name, file in sorted(self.folder.files.items()) if pattern.fullmatch(name))


def step_in_name(name: str) -> int | None:
    """The step that a name ends with, as `model.ckpt-120` and `net-120.keras` do; None if with none."""
    found = _STEP.search(_KERAS_ENDING.sub("", name))
    return int(found[1]) if found else None


def locate_checkpoint(uri: Uri, step: int | None = None) -> Located:
    """Find a checkpoint.

    Args:
        uri: A file, a prefix, an Estimator's folder (whose `checkpoint` file may speak of
            another machine's paths), a SavedModel, or a folder with one checkpoint; local or
            in a bucket.
        step: Which one of a folder with several.

    Raises:
        CheckpointNotFound: There is none, not that step's, or several.
        StorageError: The bucket cannot be listed.
    """
    if PIECE.fullmatch(uri.name.removesuffix(_INDEX)):
        raise CheckpointCorrupt(
            f"{uri}: expected a whole checkpoint, got a part of one: of a save that ended before its parts"
            " were merged, or of another library's shards. Name the whole, or an earlier checkpoint."
        )
    if step is None:
        base = uri.name.removesuffix(SHARD_INDEX)
        files, _ = list_beside(uri if base == uri.name else uri.parent / base)
        found = _named(files, uri.name)
        if found is not None:
            return found
    folder = list_folder(uri)
    known = {checkpoint.name: checkpoint for checkpoint in list_located(folder)}
    if step is not None:
        return _of_step(known.values(), step, uri)
    return _chosen(folder, known, uri)


def _named(folder: Folder, name: str) -> Located | None:
    """The checkpoint whose file or prefix has that name."""
    prefix = name.removesuffix(_INDEX)
    if f"{prefix}{_INDEX}" in folder.files:
        return Located(kind="bundle", folder=folder, name=prefix)
    if name == STATE_FILE:
        return None
    kind = _kind(folder, folder.files[name]) if name in folder.files else None
    if kind is not None:
        return Located(kind=kind, folder=folder, name=name)
    shards = [file for file in folder.files if _prefix_of_shard(file) == name]
    if shards and _kind(folder, folder.files[shards[0]]) == "saver_v1":
        return Located(kind="saver_v1", folder=folder, name=name)
    return None


def _kind(folder: Folder, file: FoundFile) -> str | None:
    if file.name.endswith(SHARD_INDEX):
        return "sharded"
    head = folder.read(file, 0, len(_HDF5))
    if head == _HDF5:
        return "hdf5"
    if head.startswith(_ZIP):
        return "archive"
    end = folder.read(file, max(0, file.size - len(_TABLE)), len(_TABLE))
    return "saver_v1" if end == _TABLE else None


def _prefix_of_shard(name: str) -> str | None:
    found = _SHARD_OF_V1.fullmatch(name)
    return found["prefix"] if found and ".data" not in name else None


def list_located(folder: Folder) -> Iterator[Located]:
    """The checkpoints of a folder; one of several shards that TF1 wrote comes once for each shard."""
    for name in folder.files:
        if PIECE.fullmatch(name.removesuffix(_INDEX)) or _is_shard(folder, name):
            continue
        if name.endswith(_INDEX):
            yield Located(kind="bundle", folder=folder, name=name.removesuffix(_INDEX))
        elif KERAS_FILE.fullmatch(name) and "/" not in name:
            found = _named(folder, name)
            if found is not None:
                yield found
        elif _may_be_v1(folder, name):
            found = _named(folder, _prefix_of_shard(name) or name)
            if found is not None:
                yield found


def _is_shard(folder: Folder, name: str) -> bool:
    """Whether it is one of several files of Keras, whose index lies next to it."""
    found = SHARD_OF_KERAS.fullmatch(name)
    return found is not None and f"{found['base']}{SHARD_INDEX}" in folder.files


def _may_be_v1(folder: Folder, name: str) -> bool:
    if ".data-" in name:
        return False  # a TensorBundle's, whose name ends like one with a step
    # Next to each checkpoint its graph lay in a .meta file, unless somebody left that out.
    prefix = _prefix_of_shard(name) or name
    return f"{prefix}.meta" in folder.files or (step_in_name(prefix) is not None and "/" not in name)


def _of_step(known: Iterable[Located], step: int, uri: str) -> Located:
    steps = {step_in_name(checkpoint.name): checkpoint for checkpoint in known}
    if step not in steps:
        found = ", ".join(str(number) for number in sorted(s for s in steps if s is not None))
        raise CheckpointNotFound(
            f"{uri}: expected a checkpoint of step {step}, found {f'steps {found}' if found else 'none'}."
            " Choose one of these."
        )
    return steps[step]


def _chosen(folder: Folder, known: dict[str, Located], uri: str) -> Located:
    if STATE_FILE in folder.files:
        newest = newest_in_state_file(folder)
        if newest not in known:
            raise CheckpointNotFound(
                f"{uri}: expected {newest!r}, which its file '{STATE_FILE}' calls the newest, found"
                f" {_listing(known)}. Copy its files here, or choose another one by its step or its prefix."
            )
        return known[newest]
    if _GRAPH_FILE in folder.files and _VARIABLES in known:
        return known[_VARIABLES]
    if RECORD in folder.files and METRICS in folder.files and not known:
        raise CheckpointNotFound(
            f"{uri}: expected a checkpoint, found the folder of a training run. Name {uri}/{CHECKPOINTS}."
        )
    if len(known) != 1:
        raise CheckpointNotFound(
            f"{uri}: expected one checkpoint (a prefix with its .index and .data files, .keras, .h5, or TF1's"
            f" one file), found {_listing(known)}. Correct the URI, or choose one by its step or its prefix."
        )
    return next(iter(known.values()))


def _listing(known: Iterable[str]) -> str:
    return short_list(sorted(known), "checkpoints found", 10) or "none"
