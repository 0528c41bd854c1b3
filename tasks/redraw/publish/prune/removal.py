"""Remove versions in an order in which no reader finds half a model."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from redraw.errors import StorageError, StorageForbidden, StorageUnavailable
from redraw.publish.bucket.emptying import empty_folders, list_folders, parents_of
from redraw.publish.bucket.layout import (
    encode_record,
    read_release_with_generation,
    release_name,
    reports_folder,
    version_folder,
)
from redraw.publish.events.derive import prune_events
from redraw.publish.prune.index import IndexedRelease
from redraw.records import Pruned, Release
from redraw.records.events import ModelEvent
from redraw.records.results import PrunedVersion
from redraw.records.times import now
from redraw.storage.opening import Changed, Storage, StoredObject, in_parallel
from redraw.storage.pause import pauses

logger = logging.getLogger(__name__)

# How many versions' objects are in memory at a time.
_AT_ONCE = 200


@dataclass(kw_only=True)
class Removal:
    """Removes the objects in versions' folders, then their attachments; records and claims stay.

    Attributes:
        storage: The model bucket.
        model: The definition's name.
        by: Who requests it.
        records: The release records that were read, and the generation of each, by version.
        kept: Version to why it stays complete: its objects or its record are protected.
        buried: The entries of the records that say pruned, by version.
        early: Size of removed objects that are still billed, and until when.
        events: One for each removed version.
    """

    storage: Storage
    model: str
    by: str = ""
    records: Mapping[int, tuple[Release, int]] = field(default_factory=dict)
    kept: dict[int, str] = field(default_factory=dict)
    buried: dict[int, IndexedRelease] = field(default_factory=dict)
    early: list[tuple[int, float]] = field(default_factory=list)
    events: list[ModelEvent] = field(default_factory=list)

    def look(self, versions: Sequence[PrunedVersion]) -> list[PrunedVersion]:
        """Find the protected versions; returns those that can be removed."""
        folders = {folder: pruned.version for pruned in versions for folder in self._folders(pruned.version)}
        by_version: dict[int, list[StoredObject]] = {pruned.version: [] for pruned in versions}
        for item in list_folders(self.storage, folders):
            folder = next(folder for folder in parents_of(item) if folder in folders)
            by_version[folders[folder]].append(item)
        for version, objects in by_version.items():
            self._judge(version, objects)
        return [pruned for pruned in versions if pruned.version not in self.kept]

    def remove(self, versions: Sequence[PrunedVersion]) -> None:
        """Remove versions that the live pointer names as being pruned.

        Raises:
            ObjectConflict: Another process keeps writing into one of the folders.
            StorageUnavailable: Others keep changing a release record.
        """
        for start in range(0, len(versions), _AT_ONCE):
            removable = self.look(versions[start : start + _AT_ONCE])
            in_parallel(self._bury, removable)
            pruned = [version for version in removable if version.version not in self.kept]
            self.empty([version.version for version in pruned])
            for version in pruned:
                where = f"{self.storage.uri}/{self.model}/{version.version}"
                logger.info("pruned %s: %s", where, version.reason)

    def empty(self, versions: Sequence[int]) -> None:
        """Remove all objects in the folders of versions whose records say that they are pruned."""
        empty_folders(self.storage, {folder for version in versions for folder in self._folders(version)})

    def notes(self, removed: Sequence[PrunedVersion], *, applied: bool) -> tuple[str, ...]:
        """Notes on removed objects that the bucket keeps or bills."""
        notes = []
        if self.early:
            size = sum(size for size, _ in self.early)
            until = datetime.fromtimestamp(max(until for _, until in self.early), UTC)
            notes.append(
                f"{size} bytes are billed until {until:%Y-%m-%dT%H:%M:%SZ} at the latest, even if they are"
                " removed: their storage class has a minimum storage duration"
            )
        if applied and removed:
            with contextlib.suppress(StorageError):  # no permission, no notes
                notes.extend(self.storage.kept_when_deleted(self._folders(removed[0].version)[0]))
        return tuple(notes)

    def _folders(self, version: int) -> tuple[str, str]:
        return f"{version_folder(self.model, version)}/", f"{reports_folder(self.model, version)}/"

    def _judge(self, version: int, objects: Sequence[StoredObject]) -> None:
        protected = next((item for item in objects if item.kept_by), None)
        if protected is None:
            moment = datetime.now(UTC).timestamp()
            self.early += [(item.size, item.billed_until) for item in objects if item.billed_until > moment]
            return
        self.kept[version] = f"{protected.kept_by} keeps {protected.name}"
        where = f"{self.storage.uri}/{self.model}/{version}"
        logger.warning("not pruned %s: %s", where, self.kept[version])

    def _bury(self, pruned: PrunedVersion) -> None:
        """Write into the release record that the version is pruned, before its objects are removed."""
        try:
            self._say_pruned(pruned)
        except StorageForbidden as err:
            self.kept[pruned.version] = f"the release record cannot be replaced: {err}"

    def _say_pruned(self, version: PrunedVersion) -> None:
        name = release_name(self.model, version.version)
        tombstone = Pruned(pruned_at=now(), by=self.by, reason=version.reason)
        stored = self.records.get(version.version)
        for pause in pauses():
            stored = stored or read_release_with_generation(self.storage, self.model, version.version)
            if stored is None:
                return
            release, generation = stored
            if release.pruned is not None:
                self._buried(release, generation)
                return
            with contextlib.suppress(Changed):
                release = replace(release, pruned=tombstone)
                replaced = self.storage.replace(name, encode_record(release), generation)
                self._buried(release, replaced.generation)
                return
            pause()
            stored = None
        raise StorageUnavailable(
            f"{self.storage.uri}/{name}: could not change the object, because another process changed it on"
            " every try. Wait until that process ends, then run the same command again."
        )

    def _buried(self, release: Release, generation: int) -> None:
        self.buried[release.version] = IndexedRelease.of(release, generation)
        self.events += prune_events(self.storage.uri / release.model, release)
