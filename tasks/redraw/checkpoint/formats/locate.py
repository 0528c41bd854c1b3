"""Find the one checkpoint at a URI, and recognize its format by its files' content."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from redraw.checkpoint.bundle.table import MAGIC
from redraw.checkpoint.formats.folder import Folder, FoundFile, list_folder, list_siblings
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
# Keras writes these with max_shard_size: `m.weights.json` says which `m_00000.weights.h5` has a layer.
SHARD_INDEX, SHARD_OF_KERAS = ".weights.json", re.compile(r"(?P<base>.+)_\d{5,}\.weights\.h5")
# Parts without a complete checkpoint: of a save that ended before the merge, and of other libraries.
PIECE = re.compile(r"(.*/)?(part-\d{5}-of-\d{5}|.+-\d+-of-\d+\.(h5|hdf5|keras))")
_SHARD_OF_V1 = re.compile(r"(?P<prefix>.+)-\d{5}-of-\d{5}")
# The most digits that a step of 63 bits may have.
_STEP = re.compile(r"(?<!-of)-([0-9]{1,18})$")


@dataclass(frozen=True, kw_only=True)
class Located:
    """One checkpoint's files.

    Attributes:
        kind: `bundle`, `hdf5`, `sharded`, `archive` or `saver_v1`.
        folder: Their folder.
        name: The file in the folder, or the common beginning of several files' names.
    """

    kind: str
    folder: Folder
    name: str

    @property
    def uri(self) -> Uri:
        """The checkpoint's URI."""
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
    """The step at the end of a name such as `model.ckpt-120` or `net-120.keras`; None if there is none."""
    match = _STEP.search(_KERAS_ENDING.sub("", name))
    return int(match[1]) if match else None


def locate_checkpoint(uri: Uri, step: int | None = None) -> Located:
    """Find a checkpoint.

    Args:
        uri: A file, a prefix, an Estimator's folder (whose `checkpoint` file may have paths of
            another machine), a SavedModel, or a folder with one checkpoint; local or in a
            bucket.
        step: Which checkpoint of a folder with several.

    Raises:
        CheckpointNotFound: No checkpoint, or no single one, matches.
        StorageError: The bucket cannot be listed.
    """
    if PIECE.fullmatch(uri.name.removesuffix(_INDEX)):
        raise CheckpointCorrupt(
            f"{uri}: expected a complete checkpoint, got a part: from an interrupted save, or a shard of"
            " another library. Name a complete checkpoint."
        )
    if step is None:
        base = uri.name.removesuffix(SHARD_INDEX)
        files, _ = list_siblings(uri if base == uri.name else uri.parent / base)
        located = _named(files, uri.name)
        if located is not None:
            return located
    folder = list_folder(uri)
    checkpoints = {checkpoint.name: checkpoint for checkpoint in list_located(folder)}
    if step is not None:
        return _of_step(checkpoints.values(), step, uri)
    return _choose_only(folder, checkpoints, uri)


def _named(folder: Folder, name: str) -> Located | None:
    """The checkpoint with that file or prefix."""
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
    match = _SHARD_OF_V1.fullmatch(name)
    return match["prefix"] if match and ".data" not in name else None


def list_located(folder: Folder) -> Iterator[Located]:
    """The checkpoints of a folder; one in several shards of TF1 comes once for each shard."""
    for name in folder.files:
        if PIECE.fullmatch(name.removesuffix(_INDEX)) or _is_shard(folder, name):
            continue
        if name.endswith(_INDEX):
            yield Located(kind="bundle", folder=folder, name=name.removesuffix(_INDEX))
        elif KERAS_FILE.fullmatch(name) and "/" not in name:
            located = _named(folder, name)
            if located is not None:
                yield located
        elif _may_be_v1(folder, name):
            located = _named(folder, _prefix_of_shard(name) or name)
            if located is not None:
                yield located


def _is_shard(folder: Folder, name: str) -> bool:
    """Whether it is a shard of Keras with an index in the same folder."""
    match = SHARD_OF_KERAS.fullmatch(name)
    return match is not None and f"{match['base']}{SHARD_INDEX}" in folder.files


def _may_be_v1(folder: Folder, name: str) -> bool:
    if ".data-" in name:
        return False  # a TensorBundle's data file, whose name looks as if it ended with a step
    # TF1 writes the graph of each checkpoint into a .meta file, unless that is turned off.
    prefix = _prefix_of_shard(name) or name
    return f"{prefix}.meta" in folder.files or (step_in_name(prefix) is not None and "/" not in name)


def _of_step(checkpoints: Iterable[Located], step: int, uri: str) -> Located:
    steps = {step_in_name(checkpoint.name): checkpoint for checkpoint in checkpoints}
    if step not in steps:
        available = ", ".join(str(number) for number in sorted(s for s in steps if s is not None))
        raise CheckpointNotFound(
            f"{uri}: expected a checkpoint of step {step}, found"
            f" {f'steps {available}' if available else 'none'}. Name a step that the folder has."
        )
    return steps[step]


def _choose_only(folder: Folder, checkpoints: dict[str, Located], uri: str) -> Located:
    if STATE_FILE in folder.files:
        newest = newest_in_state_file(folder)
        if newest not in checkpoints:
            raise CheckpointNotFound(
                f"{uri}: expected {newest!r}, which the file '{STATE_FILE}' names as the newest checkpoint,"
                f" found {_listing(checkpoints)}. Copy the files of that checkpoint here, or choose another"
                " one by step or prefix."
            )
        return checkpoints[newest]
    if _GRAPH_FILE in folder.files and _VARIABLES in checkpoints:
        return checkpoints[_VARIABLES]
    if RECORD in folder.files and METRICS in folder.files and not checkpoints:
        raise CheckpointNotFound(
            f"{uri}: expected a checkpoint, found the folder of a training run. Name {uri}/{CHECKPOINTS}."
        )
    if len(checkpoints) != 1:
        raise CheckpointNotFound(
            f"{uri}: expected one checkpoint (a prefix with its .index and .data files, .keras, .h5, or TF1's"
            f" one file), found {_listing(checkpoints)}. Correct the URI, or choose one by step or prefix."
        )
    return next(iter(checkpoints.values()))


def _listing(names: Iterable[str]) -> str:
    return short_list(sorted(names), "checkpoints found", 10) or "none"
