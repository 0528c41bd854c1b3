"""Describe a checkpoint that is in no catalogue, from its own files and what lies next to them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import get_args

from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.formats.folder import FoundFile
from redraw.checkpoint.formats.locate import Located, step_in_name
from redraw.checkpoint.formats.source import CheckpointSource
from redraw.checkpoint.formats.state_file import STATE_BYTES, STATE_FILE, times_in_state_file
from redraw.checkpoint.formats.tf_record import EVENT_FILES, times_in_event_files
from redraw.checkpoint.objects.averages import find_averages
from redraw.checkpoint.objects.roles import Role, classify_tensors
from redraw.errors import CheckpointCorrupt, short_list
from redraw.names import ModelName
from redraw.records import Checkpoint, CheckpointFormat
from redraw.records.times import format_time, is_moment
from redraw.storage.opening import Storage, StoredObject, open_storage
from redraw.storage.scratch import scratch_folder
from redraw.uri import Uri

logger = logging.getLogger(__name__)
_INTEGERS = {"int32", "int64"}
# The optimizer's step count: its names in Keras 2 and 3, and its keys in a file.
_ITERATIONS = {"iteration", "iter"}
_ITERATION_KEYS = {"optimizer/vars/0", "optimizer/inner_optimizer/vars/0"}
# More than the folders whose checkpoints are read at once.
_FOLDERS = 64
_MOST_EVENT_BYTES = 4 << 30


def describe_bare(source: CheckpointSource, model: ModelName) -> Checkpoint:
    """Make the record of a checkpoint for the catalogue.

    Args:
        source: The checkpoint.
        model: The model it belongs to; the mapping checks later that it fits.

    Returns:
        The record: the step from the tensors or the name, 0 if neither has one; the time
        from the files; the digest from the tensors.

    Raises:
        CheckpointCorrupt: A tensor cannot be read.
    """
    format_name = next(name for name in get_args(CheckpointFormat) if name == source.format)
    roles = classify_tensors(source.entries, source.graph).values()
    return Checkpoint(
        model=model,
        uri=Uri(source.uri),
        prefix="",
        format=format_name,
        step=find_step(source) or 0,
        trained_at=last_written(source.uri, source.files),
        digest=source.digest(),
        size_bytes=sum(file.size for file in source.files),
        averages=Role.MOVING_AVERAGE in roles
        or bool(find_averages(source.entries, source.graph))
        or _optimizer_keeps_averages(source),
    )


def find_step(source: CheckpointSource) -> int | None:
    """The training step of a checkpoint.

    Returns:
        The value of its step variable, else the largest count of its optimizers (one that
        scales losses counts nothing itself), else the number that its name ends with; None if
        there is none of these. A disagreement is logged.

    Raises:
        CheckpointCorrupt: The variable cannot be read.
    """
    roles = classify_tensors(source.entries, source.graph)
    steps = _counts(source, [key for key, role in roles.items() if role is Role.STEP])
    counts = _counts(source, _iterations(source))
    named = step_in_name(source.uri)
    claims = [max(counted) for counted in (steps.values(), counts.values()) if any(counted)]
    claims = [*claims, *([] if named is None else [named])]
    if len(set(claims)) > 1:
        described = [f"{key!r} {count}" for key, count in {**steps, **counts}.items()]
        described += [] if named is None else [f"its name {named}"]
        logger.warning(
            "%s: expected one step, got %s: %d is taken",
            source.uri,
            short_list(described, "steps"),
            claims[0],
        )
    return claims[0] if claims else 0 if steps or counts else None


def _counts(source: CheckpointSource, keys: Iterable[str]) -> dict[str, int]:
    scalars = (key for key in keys if source.entries[key].shape == ())
    return {
        key: _step_in(int(source.read_array(key).item()), key, source)
        for key in scalars
        if source.entries[key].dtype in _INTEGERS
    }


def _step_in(value: int, key: str, source: CheckpointSource) -> int:
    if value < 0:
        raise MalformedError("a step of 0 or more", f"{value}").found_in(source.uri, f"tensor {key!r}")
    return value


def _optimizer_keeps_averages(source: CheckpointSource) -> bool:
    """Whether the configuration of an archive's optimizer says that it keeps averages."""
    if source.format != "keras":
        return False
    # Imports h5py, which the other formats do not need.
    from redraw.checkpoint.formats.archive import ArchiveSource

    optimizer = source.optimizer if isinstance(source, ArchiveSource) else None
    return bool(optimizer and optimizer["config"].get("use_ema"))


def _iterations(source: CheckpointSource) -> list[str]:
    nodes = source.graph.nodes if source.graph is not None else ()
    named = [
        tensor.key
        for node in nodes
        for tensor in node.variables()
        if tensor.full_name.rpartition("/")[2] in _ITERATIONS
    ]
    return [*named, *(key for key in _ITERATION_KEYS if key in source.entries)]


@dataclass(frozen=True, kw_only=True)
class _Notes:
    """Saving times from a folder's own files: by step, and by a checkpoint's name."""

    steps: Mapping[int, float]
    names: Mapping[str, float]


class SavingTimes:
    """Finds when checkpoints were saved; reads each folder once. Threads may share it."""

    def __init__(self) -> None:
        self._noted = lru_cache(maxsize=_FOLDERS)(_read_notes)

    def find(self, located: Located, step: int) -> str:
        """When a checkpoint was saved.

        Returns:
            In UTC, `YYYY-MM-DDTHH:MM:SSZ`: the time of its name in the file `checkpoint`, else
            of its step in the event files next to it, else when its newest file was written.

        Raises:
            CheckpointCorrupt: The file `checkpoint` is damaged.
            StorageError: The bucket cannot be read.
        """
        noted = self._noted(located.folder.uri)
        times = (noted.names.get(located.name), noted.steps.get(step))
        noted_at = next((seconds for seconds in times if seconds and is_moment(seconds)), None)
        return last_written(located.uri, located.files) if noted_at is None else format_time(noted_at)


def last_written(uri: str, files: Iterable[FoundFile]) -> str:
    """When the newest of a checkpoint's files was written, in the records' format.

    Raises:
        CheckpointCorrupt: A record cannot hold that time.
    """
    try:
        return format_time(max(file.written_at for file in files))
    except ValueError as err:
        raise CheckpointCorrupt(
            f"{uri}: {err}. Set the modification time of the checkpoint's files (touch), or copy the files."
        ) from err


def _read_notes(folder: Uri) -> _Notes:
    storage = open_storage(folder)
    # Listed first: this fails if there is no bucket, so that a missing file then means just that.
    events = list(_first_events(storage.walk(EVENT_FILES, deep=False)))
    state = storage.read(STATE_FILE, STATE_BYTES)
    names = {} if state is None else times_in_state_file(state, f"{folder}/{STATE_FILE}")
    return _Notes(steps=_read_events(storage, events) if events else {}, names=names)


def _first_events(events: Iterable[StoredObject]) -> Iterator[StoredObject]:
    """The first event files, up to a total size that is worth reading for times."""
    budget = _MOST_EVENT_BYTES
    for item in events:
        budget -= item.size
        if budget < 0:
            return
        yield item


def _read_events(storage: Storage, events: list[StoredObject]) -> dict[int, float]:
    if not storage.uri.is_bucket:
        return times_in_event_files(Path(storage.uri, item.name) for item in events)
    with scratch_folder("events", sum(item.size for item in events)) as scratch:
        for item in events:
            storage.download(item.name, scratch / item.name)
        return times_in_event_files(scratch / item.name for item in events)
