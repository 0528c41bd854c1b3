"""Find out when a checkpoint was saved that has no record: a file's own time says it least reliably."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from redraw.checkpoint.formats.event_file import EVENT_FILES, times_in_event_files
from redraw.checkpoint.formats.locate import Located
from redraw.checkpoint.formats.state_file import STATE_FILE, times_in_state_file
from redraw.records.times import format_time
from redraw.storage.opening import Storage, open_storage
from redraw.uri import Uri

__all__ = ["SavingTimes"]

# More than the folders whose checkpoints are looked at at once.
_FOLDERS = 64


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

        Args:
            located: The checkpoint.
            step: Its training step.

        Returns:
            In UTC, `YYYY-MM-DDTHH:MM:SSZ`: what the file `checkpoint` says of its name, or the event
            files next to it of the step, or else when its newest file was written.

        Raises:
            CheckpointCorrupt: The file `checkpoint` is damaged.
            StorageError: The bucket cannot be read.
        """
        noted = self._noted(located.folder.uri)
        written = max(file.written_at for file in located.files)
        return format_time(noted.names.get(located.name) or noted.steps.get(step) or written)


def _read_notes(folder: Uri) -> _Noted:
    storage = open_storage(folder)
    # Listed first: then it is known that there is a bucket, when the next file is not there.
    events = [item.name for item in storage.walk(EVENT_FILES, deep=False)]
    state = storage.read(STATE_FILE)
    names = {} if state is None else times_in_state_file(state, f"{folder}/{STATE_FILE}")
    return _Noted(steps=_read_events(storage, events) if events else {}, names=names)


def _read_events(storage: Storage, names: list[str]) -> dict[int, float]:
    if not storage.uri.is_bucket:
        return times_in_event_files(Path(storage.uri, name) for name in names)
    with tempfile.TemporaryDirectory(prefix="redraw-events-") as scratch:
        for name in names:
            storage.download(name, Path(scratch, name))
        return times_in_event_files(Path(scratch, name) for name in names)
