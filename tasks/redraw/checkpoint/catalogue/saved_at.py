"""Find out when a checkpoint was saved that has no record: a file's own time says it least reliably."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from redraw.checkpoint.formats.folder import FoundFile
from redraw.checkpoint.formats.locate import Located
from redraw.checkpoint.formats.state_file import STATE_BYTES, STATE_FILE, times_in_state_file
from redraw.checkpoint.formats.tf_record import EVENT_FILES, times_in_event_files
from redraw.errors import CheckpointCorrupt
from redraw.records.times import format_time, is_moment
from redraw.storage.opening import Storage, StoredObject, open_storage
from redraw.storage.scratch import scratch_folder
from redraw.uri import Uri

# More than the folders whose checkpoints are looked at at once.
_FOLDERS = 64
_MOST_EVENT_BYTES = 4 << 30


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
