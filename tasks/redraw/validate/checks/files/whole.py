"""Is every file there, whole, and the one that was exported? No TensorFlow is needed to tell."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.errors import CheckpointError
from redraw.records import Check
from redraw.records.files import SIGNATURE_FILE
from redraw.validate.checks.files.graph_file import MOST_BYTES
from redraw.validate.outcome import conclude

if TYPE_CHECKING:
    from redraw.validate.subject.subject import Subject

_GRAPH, _INDEX = "saved_model.pb", "variables/variables.index"
# What a SavedModel consists of, and its signature; of the folders of assets any content.
_KNOWN = re.compile(
    rf"{re.escape(_GRAPH)}|fingerprint\.pb|{re.escape(_INDEX)}|{re.escape(SIGNATURE_FILE)}"
    r"|assets/.+|assets\.extra/tf_serving_warmup_requests"
)


def check_files(subject: Subject) -> Check:
    """Demand every file, undamaged, and no other; no links, pipes or devices: the check `files-whole`.

    TensorFlow's C++ loader accepts an export without the variables' index, and then serves nothing.
    """
    folder = subject.folder
    problems = list(_file_problems(folder))
    tensors, size = 0, 0
    if (folder / _GRAPH).is_file():
        problems += _graph_problems(subject)
    if folder.is_dir():
        bundle, damage = _bundle(subject)
        problems += [damage] if damage else []
        problems += [f"tensor {key!r}: {text}" for key, text in sorted(subject.reading.damaged.items())]
        if bundle is not None:
            shards = set(bundle.shard_paths)
            problems += list(_shard_problems(folder, shards))
            problems += [
                f"tensor {e.key!r}: {e.gaps} in its slices" for e in bundle.entries.values() if e.gaps
            ]
            tensors, size = len(bundle.entries), bundle.tensor_bytes
    return conclude(
        "files-whole",
        looked_at=f"every file below {folder}, and the checksum of every tensor",
        expected=f"{_GRAPH}, {_INDEX} and its data files, whole; assets, warm-up requests,"
        f" {SIGNATURE_FILE}; no other file, no link",
        found=f"all there; {tensors} tensors of {size} bytes whose checksums hold",
        problems=problems,
        advice="Export again.",
    )


def _graph_problems(subject: Subject) -> list[str]:
    # Of a larger one the check graph-size says so.
    if (subject.folder / _GRAPH).stat().st_size <= MOST_BYTES:
        try:
            subject.meta_graphs  # noqa: B018 - parsed, and kept for the checks that look into it
        except CheckpointError as err:
            return [str(err)]
    return []


def _bundle(subject: Subject) -> tuple[TensorBundle | None, str]:
    try:
        return subject.bundle, ""
    except CheckpointError as err:
        return None, str(err)


def _file_problems(folder: Path) -> Iterator[str]:
    if not folder.is_dir():
        yield f"{folder} is no folder"
        return
    for name in (_GRAPH, _INDEX):
        if not (folder / name).is_file():
            yield f"no {name}"
    for path in sorted(folder.rglob("*")):
        name, mode = path.relative_to(folder).as_posix(), path.lstat().st_mode
        if stat.S_ISLNK(mode):
            yield f"{name} is a symbolic link, to {path.readlink()}"
        elif not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            yield f"{name} is no regular file"
        elif stat.S_ISREG(mode) and not _KNOWN.fullmatch(name) and not name.startswith("variables/"):
            yield f"{name} belongs to no SavedModel"


def _shard_problems(folder: Path, shards: set[Path]) -> Iterator[str]:
    for path in sorted((folder / "variables").iterdir()):
        name = path.relative_to(folder).as_posix()
        if path not in shards and name != _INDEX:
            yield f"{name} is not one of the {len(shards)} data files that the index names"
    for path in sorted(shards):
        if not path.is_file():
            yield f"no {path.relative_to(folder).as_posix()}"


def check_digest(subject: Subject) -> Check:
    """Compare the files with the digest in the export's record: the check `digest`."""
    folder, digest = subject.folder, subject.exported.digest
    found = subject.reading.digest if folder.is_dir() else "no folder"
    return conclude(
        "digest",
        looked_at=f"the {len(subject.reading.files)} files below {folder}",
        expected=digest,
        found=found,
        problems=[] if found == digest else [f"digest {found}"],
        advice="The files changed after the export: export again.",
    )
