"""The removal of versions, in an order in which no reader meets half a model."""

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

# So many versions' objects are in memory at a time.
_AT_ONCE = 200


@dataclass(kw_only=True)
class Removal:
    """Removes all that lies in versions' folders, then their attachments; records and claims stay.

    Attributes:
        storage: The model bucket.
        model: The definition's name.
        by: Who asks for it.
        records: The release records that were read, and the generation of each, by version.
        kept: Version to why it stays, whole: its objects or its record are protected.
        buried: What the records say now, by version.
        events: That they were removed.
        early: Size of the objects that are paid for although they are removed, and until when.
    """

    storage: Storage
    model: str
    by: str = ""
    records: Mapping[int, tuple[Release, int]] = field(default_factory=dict)
    kept: dict[int, str] = field(default_factory=dict)
    buried: dict[int, IndexedRelease] = field(default_factory=dict)
    early: list[tuple[int, float]] = field(default_factory=list)
    events: list[ModelEvent] = field(default_factory=list)

    def look(self, going: Sequence[PrunedVersion]) -> list[PrunedVersion]:
        """Find out what is protected; returns those that can be removed."""
        folders = {folder: gone.version for gone in going for folder in self._folders(gone.version)}
        by_version: dict[int, list[StoredObject]] = {gone.version: [] for gone in going}
        for item in list_folders(self.storage, folders):
            folder = next(folder for folder in parents_of(item) if folder in folders)
            by_version[folders[folder]].append(item)
        for version, objects in by_version.items():
            self._judge(version, objects)
        return [gone for gone in going if gone.version not in self.kept]

    def remove(self, going: Sequence[PrunedVersion]) -> None:
        """Remove versions that the live pointer names as being pruned.

        Raises:
            ObjectConflict: Somebody keeps writing into one of the folders.
            StorageUnavailable: Others keep changing a release record.
        """
        for start in range(0, len(going), _AT_ONCE):
            free = self.look(going[start : start + _AT_ONCE])
            in_parallel(self._bury, free)
            gone = [one for one in free if one.version not in self.kept]
            self.empty([version.version for version in gone])
            for version in gone:
                where = f"{self.storage.uri}/{self.model}/{version.version}"
                logger.info("pruned %s: %s", where, version.reason)

    def empty(self, versions: Sequence[int]) -> None:
        """Remove whatever lies in the folders of versions whose records say that they are pruned."""
        empty_folders(self.storage, {folder for version in versions for folder in self._folders(version)})

    def notes(self, removed: Sequence[PrunedVersion], *, applied: bool) -> tuple[str, ...]:
        """What the bucket keeps, or bills, of what is removed."""
        said = []
        if self.early:
            size = sum(size for size, _ in self.early)
            until = datetime.fromtimestamp(max(until for _, until in self.early), UTC)
            said.append(
                f"{size} bytes are paid for until {until:%Y-%m-%dT%H:%M:%SZ} at the latest, removed or not:"
                " their storage class has a minimum age"
            )
        if applied and removed:
            with contextlib.suppress(StorageError):  # those who may not ask learn nothing of it
                said.extend(self.storage.kept_when_deleted(self._folders(removed[0].version)[0]))
        return tuple(said)

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

    def _bury(self, going: PrunedVersion) -> None:
        """Say in the release record that the version is pruned, before anything of it is removed."""
        try:
            self._say_pruned(going)
        except StorageForbidden as err:
            self.kept[going.version] = f"its release record cannot be replaced: {err}"

    def _say_pruned(self, going: PrunedVersion) -> None:
        name = release_name(self.model, going.version)
        pruned = Pruned(pruned_at=now(), by=self.by, reason=going.reason)
        found = self.records.get(going.version)
        for pause in pauses():
            found = found or read_release_with_generation(self.storage, self.model, going.version)
            if found is None:
                return
            release, generation = found
            if release.pruned is not None:
                self._buried(release, generation)
                return
            with contextlib.suppress(Changed):
                release = replace(release, pruned=pruned)
                stored = self.storage.replace(name, encode_record(release), generation)
                self._buried(release, stored.generation)
                return
            pause()
            found = None
        raise StorageUnavailable(
            f"{self.storage.uri}/{name}: expected to change it, got another writer's change on each try."
            " Find out who changes it, and run it again."
        )

    def _buried(self, release: Release, generation: int) -> None:
        self.buried[release.version] = IndexedRelease.of(release, generation)
        self.events += prune_events(self.storage.uri / release.model, release)
