"""Write the objects of a version in an order in which no reader finds half a model.

For a server, a folder is a version if its name is a number, and a SavedModel if it has a `saved_model.pb`: so
that file is written last.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Iterable

from redraw.errors import ObjectConflict
from redraw.publish.bucket.emptying import empty_folders
from redraw.publish.bucket.integrity import demand_no_conflict, demand_whole
from redraw.publish.bucket.layout import Claim, read_release, version_folder
from redraw.publish.push.sources import Source
from redraw.records.files import ListedFile
from redraw.storage.opening import Storage, in_parallel

_logger = logging.getLogger(__name__)

_DATA, _INDEX, _ASSETS, _EXTRA, _OTHER, _MODEL = range(6)


def publish_objects(storage: Storage, claim: Claim, source: Source) -> dict[str, int]:
    """Create the objects that the version's claim lists and that are missing.

    Args:
        storage: The model bucket.
        claim: The version's, in the bucket already.
        source: The source of the files.

    Returns:
        Each object's generation, by its name in the manifest.

    Raises:
        ObjectConflict: The folder has an object with other content, which stays; or the version was pruned
            in the meantime.
        NotValidated: A file is not the validated one; neither it nor `saved_model.pb` was written.
    """
    present = demand_no_conflict(storage, claim)
    missing = [file for file in source.files if file.name not in present]
    if missing:
        _publish_waves(storage, claim, source, missing)
        _demand_not_pruned(storage, claim)
        return demand_whole(storage, claim)
    return {name: item.generation for name, item in sorted(present.items())}


def _demand_not_pruned(storage: Storage, claim: Claim) -> None:
    """Empty the folder of a version that was pruned in the meantime.

    A prune writes the release record, then lists the objects to remove. If the record does not say pruned
    yet, that listing will show every object written so far; if it does, the listing may be older than the
    objects.
    """
    release = read_release(storage, claim.model, claim.version)
    if release is not None and release.pruned is not None:
        empty_folders(storage, [f"{version_folder(claim.model, claim.version)}/"])
        raise ObjectConflict(
            f"{release.uri}: {release.pruned.by} pruned this version while it was being pushed. Push the"
            " export again: it gets the next revision."
        )


def _publish_waves(storage: Storage, claim: Claim, source: Source, files: Iterable[ListedFile]) -> None:
    waves: dict[int, list[ListedFile]] = defaultdict(list)
    for file in files:
        waves[_wave(file.name)].append(file)
    _demand_not_pruned(storage, claim)
    for number in sorted(waves):
        if number == _MODEL:
            _demand_not_pruned(storage, claim)
        _publish_wave(storage, version_folder(claim.model, claim.version), source, waves[number])


def _publish_wave(storage: Storage, folder: str, source: Source, files: list[ListedFile]) -> None:
    def publish(file: ListedFile) -> None:
        started = time.monotonic()
        source.put(storage, f"{folder}/{file.name}", file)
        seconds = time.monotonic() - started
        _logger.info("%s %s: %d bytes in %.2f s", source.done, file.name, file.size, seconds)

    in_parallel(publish, files, source.streams(files))


def _wave(name: str) -> int:
    if name in {"saved_model.pb", "saved_model.pbtxt"}:
        return _MODEL
    if name.startswith("variables/"):
        return _DATA if ".data-" in name else _INDEX
    if name.startswith("assets/"):
        return _ASSETS
    return _EXTRA if name.startswith("assets.extra/") else _OTHER
