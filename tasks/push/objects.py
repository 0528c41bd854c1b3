"""The objects of a version, in an order in which no reader meets half a model.

A server takes a folder for a version as soon as it has a number for its name, and
for a SavedModel as soon as `saved_model.pb` is in it: that file goes last.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict

from tasks.files import TreeFile, TreeScan
from tasks.published import Claim, demand_no_conflict, demand_whole, version_folder
from tasks.storage import Storage, create_or_match, in_parallel

__all__ = ["publish_objects"]

_logger = logging.getLogger(__name__)

_DATA, _INDEX, _ASSETS, _EXTRA, _OTHER, _MODEL = range(6)


def publish_objects(storage: Storage, claim: Claim, scan: TreeScan) -> None:
    """Bring the version's folder to exactly what its claim lists; what is there is not sent again.

    Args:
        storage: The model bucket.
        claim: The version's, in the bucket already.
        scan: The export's files, of the same digest.

    Raises:
        ObjectConflict: Another object is in the way; it is left alone.
    """
    present = demand_no_conflict(storage, claim)
    missing = [file for file in scan.files if file.name not in present]
    if not missing:
        return
    waves: dict[int, list[TreeFile]] = defaultdict(list)
    for file in missing:
        waves[_wave(file.name)].append(file)
    for number in sorted(waves):
        _publish_wave(storage, version_folder(claim.model, claim.version), waves[number])
    demand_whole(storage, claim)


def _publish_wave(storage: Storage, folder: str, files: list[TreeFile]) -> None:
    def publish(file: TreeFile) -> None:
        started = time.monotonic()
        create_or_match(storage, f"{folder}/{file.name}", file)
        _logger.info("sent %s: %d bytes in %.2f s", file.name, file.size, time.monotonic() - started)

    in_parallel(publish, files)


def _wave(name: str) -> int:
    if name in {"saved_model.pb", "saved_model.pbtxt"}:
        return _MODEL
    if name.startswith("variables/"):
        return _DATA if ".data-" in name else _INDEX
    if name.startswith("assets/"):
        return _ASSETS
    return _EXTRA if name.startswith("assets.extra/") else _OTHER
