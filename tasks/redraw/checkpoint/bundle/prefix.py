"""Find the files of a checkpoint by their common prefix."""

from __future__ import annotations

from pathlib import Path

from redraw.errors import CheckpointCorrupt, CheckpointNotFound

_INDEX = ".index"


def bundle_file(prefix: Path, suffix: str) -> Path:
    """The path of one of a checkpoint's files.

    Args:
        prefix: Its prefix, or the folder where its files are called only by their suffix.
        suffix: `.index`, or the result of `shard_name`.

    Returns:
        The path, whether it exists or not.
    """
    index = prefix.with_name(prefix.name + _INDEX) if prefix.name else None
    if index is None or (not index.is_file() and (prefix / _INDEX).is_file()):
        return prefix / suffix
    return prefix.with_name(prefix.name + suffix)


def shard_name(number: int, count: int) -> str:
    """The suffix of a data file's name; `number` counts from 0."""
    return f".data-{number:05d}-of-{count:05d}"


def find_bundle_prefix(path: Path) -> Path:
    """Find the one checkpoint at a path.

    Args:
        path: A prefix, an index file, or a folder with exactly one checkpoint.

    Returns:
        The prefix; the folder itself for files that are called `.index` and `.data-…`.

    Raises:
        CheckpointNotFound: There is none, or the folder holds several.
        CheckpointCorrupt: There is an index without any data.
    """
    prefix = _resolve_prefix(path)
    name = bundle_file(prefix, ".data-").name
    folder = bundle_file(prefix, _INDEX).parent
    if not any(file.name.startswith(name) for file in folder.iterdir()):
        raise CheckpointCorrupt(
            f"checkpoint {prefix}: expected data files {folder}/{name}*, found only the index file. Copy"
            " all files of the checkpoint, or choose another checkpoint."
        )
    return prefix


def _resolve_prefix(path: Path) -> Path:
    if path.name.endswith(_INDEX) and path.is_file():
        return path.parent / path.name.removesuffix(_INDEX)
    if bundle_file(path, _INDEX).is_file():
        return path
    if not path.is_dir():
        raise CheckpointNotFound(
            f"checkpoint {path}: expected a prefix with {path.name}{_INDEX} next to it, or a folder,"
            " found neither. Correct the path."
        )
    indexes = sorted(file.name for file in path.iterdir() if file.name.endswith(_INDEX))
    if len(indexes) != 1:
        names = ", ".join(name.removesuffix(_INDEX) for name in indexes) or "none"
        raise CheckpointNotFound(
            f"checkpoint folder {path}: expected one *{_INDEX} file, found {names}. Name the prefix of one"
            " checkpoint."
        )
    return path / indexes[0].removesuffix(_INDEX)
