"""A training run in a bucket, which any machine may resume; its files pass through a local folder.

metrics.jsonl   replaced at each evaluation; its generation tells which process continues the run
checkpoints/    a checkpoint's data, then its index: a checkpoint with an index is complete
events/         uploaded again with each checkpoint
run.json        written first, and again with the last step when the run has ended
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from redraw.errors import ObjectConflict, StorageUnavailable
from redraw.records import Metrics, TrainingRun
from redraw.runs.folder import METRICS, RECORD, RunFolder, is_step
from redraw.storage.files import TreeFile, scan_file
from redraw.storage.opening import (
    Absent,
    AlreadyThere,
    Changed,
    StoredObject,
    create_or_match,
    in_parallel,
    open_storage,
)
from redraw.storage.scratch import demand_room, scratch_folder
from redraw.uri import Uri

logger = logging.getLogger(__name__)
_CHECKPOINT = "checkpoints/ckpt-"
_INDEX = ".index"
# Largest size in bytes of a run's record, its metrics or one of its event files.
_LARGEST = 1 << 30


class RemoteRunFolder(RunFolder):
    """The folder of one training run in a bucket.

    Args:
        uri: The folder, `gs://BUCKET/PREFIX`.
        scratch: A local folder for the files during the work.

    Raises:
        StorageError: The bucket is missing, forbidden or does not answer.
    """

    sends = True

    def __init__(self, uri: Uri, scratch: Path) -> None:
        super().__init__(scratch)
        self._storage = open_storage(uri)
        # The generations that this process read or wrote last; objects of other processes are not replaced.
        self._generations: dict[str, int] = {}
        metrics = self._read(METRICS)
        if metrics is not None:
            self._metrics.write_bytes(metrics)

    @property
    def uri(self) -> Uri:
        """The run's URI for other stages."""
        return self._storage.uri

    def is_empty(self) -> bool:
        """Whether the folder has no objects."""
        return next(self._storage.walk(), None) is None

    def claim(self) -> None:
        """Take over the run: another process that still continues it fails at its next checkpoint."""
        self._put(METRICS, self._metrics.read_bytes() if self._metrics.exists() else b"")

    def read_run(self) -> TrainingRun | None:
        """The run's record; None if the folder has none.

        Raises:
            InvalidRecord: `run.json` is damaged.
        """
        content = self._read(RECORD)
        return None if content is None else TrainingRun.from_text(content, f"{self.uri}/{RECORD}")

    def write_run(self, run: TrainingRun) -> None:
        """Write the run's record.

        Raises:
            ObjectConflict: Another process continues the run.
        """
        self._put(RECORD, run.to_bytes())

    def add_evaluation(self, step: int, metrics: Metrics) -> None:
        """Append a line to the metrics.

        Raises:
            ObjectConflict: Another process continues the run.
        """
        super().add_evaluation(step, metrics)
        self._put(METRICS, self._metrics.read_bytes())

    def steps(self) -> list[int]:
        """The steps of the complete checkpoints, the lowest first."""
        names = [item.name for item in self._storage.walk(_CHECKPOINT) if item.name.endswith(_INDEX)]
        steps = (name.removeprefix(_CHECKPOINT).removesuffix(_INDEX) for name in names)
        return sorted(int(step) for step in steps if is_step(step))

    def checkpoint(self, step: int) -> Path:
        """Download a checkpoint; its files are verified, and have the times of the objects.

        Raises:
            DiskFull: There is no room for it.
            StorageUnavailable: It was removed meanwhile.
        """
        items = self._items(step)
        demand_room(self.path, sum(item.size for item in items))
        in_parallel(self._fetch, items)
        return super().checkpoint(step)

    def checkpoint_saved(self, step: int, keep: int) -> None:
        """Upload a checkpoint, its index last, and remove the oldest beyond `keep`."""
        self._send_checkpoint(step)
        for old in self.steps()[:-keep]:
            self._remove(self._items(old))
        for path in sorted(self.events.glob("*")):
            self._put(f"events/{path.name}", path.read_bytes())
        logger.info("sent the checkpoint of step %d to %s", step, self.uri)

    def _send_checkpoint(self, step: int) -> None:
        prefix = super().checkpoint(step)
        files = [
            scan_file(path, f"checkpoints/{path.name}") for path in prefix.parent.glob(f"{prefix.name}.*")
        ]
        current = {(file.name, file.size, file.crc32c) for file in files}
        # What a process that was killed has left of the same step: another training's, so never whole.
        self._remove(
            [item for item in self._items(step) if (item.name, item.size, item.crc32c) not in current]
        )
        in_parallel(self._create, [file for file in files if not file.name.endswith(_INDEX)])
        in_parallel(self._create, [file for file in files if file.name.endswith(_INDEX)])

    def _create(self, file: TreeFile) -> None:
        create_or_match(self._storage, file.name, file, file.path)

    def _items(self, step: int) -> list[StoredObject]:
        return self._storage.list(f"{_CHECKPOINT}{step}.")

    def _fetch(self, item: StoredObject) -> None:
        path = self.path / item.name
        try:
            self._storage.download(item.name, path)
        except Absent as err:
            raise StorageUnavailable(
                f"{self.uri}/{item.name}: the object was removed while the run was being read. Run the same"
                " command again."
            ) from err
        os.utime(path, (item.written_at, item.written_at))

    def _remove(self, items: list[StoredObject]) -> None:
        """Remove objects, the index first, because without it there is no checkpoint."""
        for item in sorted(items, key=lambda item: not item.name.endswith(_INDEX)):
            self._storage.delete(item.name, item.generation)

    def _read(self, name: str) -> bytes | None:
        stored = self._storage.read_with_generation(name, _LARGEST)
        if stored is None:
            return None
        self._generations[name] = stored[1]
        return stored[0]

    def _put(self, name: str, data: bytes) -> None:
        """Replace the generation of an object that this process read or wrote last."""
        try:
            self._generations[name] = self._write(name, data).generation
        except (AlreadyThere, Changed) as err:
            stored = self._storage.read_with_generation(name, _LARGEST)
            # The response to the first of two requests may have been lost.
            if stored is None or stored[0] != data:
                raise ObjectConflict(
                    f"{self.uri}/{name}: expected the object that this process wrote last, got one of"
                    " another process, which trains in the same folder. End one of the two trainings."
                ) from err
            self._generations[name] = stored[1]

    def _write(self, name: str, data: bytes) -> StoredObject:
        generation = self._generations.get(name)
        if generation is None:
            return self._storage.create(name, data)
        return self._storage.replace(name, data, generation)


@contextlib.contextmanager
def open_run_folder(uri: Uri, purpose: str) -> Iterator[RunFolder]:
    """Open a run's folder, local or in a bucket.

    Args:
        uri: A local folder, or one in a bucket (`gs://`); it need not exist.
        purpose: The name of the scratch folder for a bucket's files.

    Yields:
        The folder, for as long as the context lasts.

    Raises:
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    if not uri.is_bucket:
        yield RunFolder(Path(uri))
        return
    with scratch_folder(purpose) as scratch:
        yield RemoteRunFolder(uri, scratch)
