"""Describe a checkpoint that no catalogue knows, from its own files; their times say least reliably when."""

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
from redraw.checkpoint.objects.object_graph import classify_tensors
from redraw.checkpoint.objects.roles import Role
from redraw.errors import CheckpointCorrupt, short_list
from redraw.names import ModelName
from redraw.records import Checkpoint, CheckpointFormat
from redraw.records.times import format_time, is_moment
from redraw.storage.opening import Storage, StoredObject, open_storage
from redraw.storage.scratch import scratch_folder
from redraw.uri import Uri

logger = logging.getLogger(__name__)
_INTEGERS = {"int32", "int64"}
# The optimizer's own count, by the names that Keras 2 and 3 give it, and its place in a file.
_ITERATIONS = {"iteration", "iter"}
_ITERATION_KEYS = {"optimizer/vars/0", "optimizer/inner_optimizer/vars/0"}
# More than the folders whose checkpoints are looked at at once.
_FOLDERS = 64
_MOST_EVENT_BYTES = 4 << 30


def describe_bare(source: CheckpointSource, model: ModelName) -> Checkpoint:
    """Make the record that the catalogue would hold.

    Args:
        source: The checkpoint.
        model: The model that it is to be of; that it fits is for the mapping to find out.

    Returns:
        The record: the step from the tensors or the name, 0 where neither tells; the time
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
        What its step variable says, else the largest count of its optimizers (one that scales
        losses counts nothing itself), else the number that its name ends with; None where
        nothing tells. What they disagree on is logged.

    Raises:
        CheckpointCorrupt: The variable cannot be read.
    """
    roles = classify_tensors(source.entries, source.graph)
    steps = _counts(source, [key for key, role in roles.items() if role is Role.STEP])
    counts = _counts(source, _iterations(source))
    named = step_in_name(source.uri)
    said = [max(found) for found in (steps.values(), counts.values()) if any(found)]
    said = [*said, *([] if named is None else [named])]
    if len(set(said)) > 1:
        steps_said = [f"{key!r} {count}" for key, count in {**steps, **counts}.items()]
        steps_said += [] if named is None else [f"its name {named}"]
        logger.warning(
            "%s: expected one step, got %s: %d is taken", source.uri, short_list(steps_said, "steps"), said[0]
        )
    return said[0] if said else 0 if steps or counts else None


def _counts(source: CheckpointSource, keys: Iterable[str]) -> dict[str, int]:
    whole = (key for key in keys if source.entries[key].shape == ())
    return {
        key: _step_in(int(source.read_array(key).item()), key, source)
        for key in whole
        if source.entries[key].dtype in _INTEGERS
    }


def _step_in(value: int, key: str, source: CheckpointSource) -> int:
    if value < 0:
        raise MalformedError("a step from 0 on", f"{value}").found_in(source.uri, f"tensor {key!r}")
    return value


def _optimizer_keeps_averages(source: CheckpointSource) -> bool:
    """Whether an archive's optimizer kept averages, as its configuration says."""
    if source.format != "keras":
        return False
    # Brings h5py, which the other formats need not wait for.
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
class _Noted:
    """What a folder's own files say: step to time, and checkpoint's name to time."""

    steps: Mapping[int, float]
    names: Mapping[str, float]


class SavingTimes:
    """When checkpoints were saved; each folder is asked once. Threads may share it."""

    def __init__(self) -> None:
        self._noted = lru_cache(maxsize=_FOLDERS)(_read_notes)

    def find(self, located: Located, step: int) -> str:
        """When a checkpoint was saved.

        Returns:
            In UTC, `YYYY-MM-DDTHH:MM:SSZ`: what the file `checkpoint` says of its name, or the event
            files next to it of the step, or else when its newest file was written.

        Raises:
            CheckpointCorrupt: The file `checkpoint` is damaged.
            StorageError: The bucket cannot be read.
        """
        noted = self._noted(located.folder.uri)
        said = (noted.names.get(located.name), noted.steps.get(step))
        noted_at = next((seconds for seconds in said if seconds and is_moment(seconds)), None)
        return last_written(located.uri, located.files) if noted_at is None else format_time(noted_at)


def last_written(uri: str, files: Iterable[FoundFile]) -> str:
    """When the newest of a checkpoint's files was written, as records have times.

    Raises:
        CheckpointCorrupt: No record can have that time.
    """
    try:
        return format_time(max(file.written_at for file in files))
    except ValueError as err:
        raise CheckpointCorrupt(f"{uri}: {err}. Set its files' time, or copy them.") from err


def _read_notes(folder: Uri) -> _Noted:
    storage = open_storage(folder)
    # Listed first: then it is known that there is a bucket, when the next file is not there.
    events = list(_within(storage.walk(EVENT_FILES, deep=False)))
    state = storage.read(STATE_FILE, STATE_BYTES)
    names = {} if state is None else times_in_state_file(state, f"{folder}/{STATE_FILE}")
    return _Noted(steps=_read_events(storage, events) if events else {}, names=names)


def _within(events: Iterable[StoredObject]) -> Iterator[StoredObject]:
    """The first event files, as many as are worth to be read for times."""
    left = _MOST_EVENT_BYTES
    for item in events:
        left -= item.size
        if left < 0:
            return
        yield item


def _read_events(storage: Storage, events: list[StoredObject]) -> dict[int, float]:
    if not storage.uri.is_bucket:
        return times_in_event_files(Path(storage.uri, item.name) for item in events)
    with scratch_folder("events", sum(item.size for item in events)) as scratch:
        for item in events:
            storage.download(item.name, scratch / item.name)
        return times_in_event_files(scratch / item.name for item in events)
