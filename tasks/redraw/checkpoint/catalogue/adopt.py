"""Put checkpoints that other programs saved into the catalogue.

Nothing here imports TensorFlow, except to read files of TF1's Saver V1. Files are listed
a page at a time and a few checkpoints are read at once, so memory does not grow with their
number.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from redraw.checkpoint.catalogue.bare import SavingTimes, describe_bare
from redraw.checkpoint.catalogue.candidates import Candidate, list_candidates
from redraw.checkpoint.catalogue.store import (
    PREFIX,
    add_checkpoint,
    fetch_located,
    find_recorded,
    folder_name,
)
from redraw.checkpoint.formats.locate import Located, locate_checkpoint
from redraw.checkpoint.formats.source import open_located
from redraw.errors import (
    CheckpointCorrupt,
    CheckpointError,
    CheckpointNotFound,
    DiskFull,
    InvalidName,
    InvalidRecord,
)
from redraw.records import Checkpoint
from redraw.records.results import AdoptedCheckpoint, AdoptionReport, BrokenCheckpoint
from redraw.requests import AdoptRequest
from redraw.storage.opening import map_ahead, open_storage
from redraw.storage.scratch import scratch_folder
from redraw.uri import Uri

logger = logging.getLogger(__name__)

# The processor limits the reading of local files, latency that of a bucket's.
_LOCAL_STREAMS, _REMOTE_STREAMS = 2, 16
_PROGRESS_SECONDS = 5.0
_SHOWN = 3


def adopt_checkpoints(request: AdoptRequest) -> AdoptionReport:
    """Find every checkpoint in a folder, verify each, and record it in the catalogue.

    Checkpoints that are in the catalogue already stay unchanged; a broken one does not stop the rest.

    Args:
        request: The model, where to look, the catalogue, and whether to copy.

    Returns:
        The checkpoints that were adopted, known already, or broken.

    Raises:
        CheckpointNotFound: There is no checkpoint.
        CheckpointCorrupt: All checkpoints are broken.
        StorageError: The folder or the catalogue cannot be used.
    """
    started = time.monotonic()
    tally = _Tally()
    for outcome in _outcomes(request):
        tally.count(outcome)
    report = AdoptionReport(
        model=request.model,
        catalogue=request.catalogue.absolute(),
        adopted=tuple(tally.adopted),
        known=tally.known,
        broken=tuple(tally.broken),
        seconds=round(time.monotonic() - started, 3),
    )
    logger.info("adopted %s: %s in %.1f s", request.model, tally, report.seconds)
    _demand_usable(request, report)
    return report


class _AlreadyRecorded:
    """A checkpoint that the catalogue has already."""


_Outcome = AdoptedCheckpoint | BrokenCheckpoint | _AlreadyRecorded | None


class _Tally:
    """The outcomes so far."""

    def __init__(self) -> None:
        self.adopted: list[AdoptedCheckpoint] = []
        self.broken: list[BrokenCheckpoint] = []
        self.known = 0
        self._reported_at = time.monotonic()

    def count(self, outcome: _Outcome) -> None:
        if isinstance(outcome, AdoptedCheckpoint):
            self.adopted.append(outcome)
        elif isinstance(outcome, BrokenCheckpoint):
            logger.warning("not adopted: %s", outcome.reason)
            self.broken.append(outcome)
        elif outcome is not None:
            self.known += 1
        if time.monotonic() - self._reported_at > _PROGRESS_SECONDS:
            self._reported_at = time.monotonic()
            logger.info("%s so far", self)

    def __str__(self) -> str:
        return f"{len(self.adopted)} new, {self.known} known, {len(self.broken)} broken"


def _outcomes(request: AdoptRequest) -> Iterator[_Outcome]:
    """The outcome of each checkpoint in a folder, or of the single one that the URI names."""
    root, adoption = request.source.absolute(), _Adoption(request)
    streams = _REMOTE_STREAMS if root.is_bucket else _LOCAL_STREAMS
    candidates = list_candidates(root, recursive=request.recursive)
    any_found = False
    for outcome in map_ahead(adoption.adopt, candidates, streams):
        any_found = any_found or outcome is not None
        yield outcome
    if not any_found:
        yield adoption.record(_locate_single(root, request))


def _locate_single(root: Uri, request: AdoptRequest) -> Located:
    try:
        return locate_checkpoint(root)
    except CheckpointNotFound as err:
        if request.recursive:
            raise
        raise CheckpointNotFound(f"{err} To search subfolders too, add --recursive.") from err


class _Adoption:
    """Adopts each checkpoint of one request; threads share it."""

    def __init__(self, request: AdoptRequest) -> None:
        self._request = request
        # Shared, so that it checks only once that its bucket exists.
        self._catalogue = open_storage(request.catalogue.absolute())
        self._times = SavingTimes()

    def adopt(self, candidate: Candidate) -> _Outcome:
        try:
            located = candidate.locate()
            return None if located is None else self.record(located)
        except (CheckpointError, DiskFull, InvalidName, InvalidRecord) as err:
            return BrokenCheckpoint(uri=candidate.uri, reason=str(err))

    def record(self, located: Located) -> _Outcome:
        """Put one checkpoint into the catalogue."""
        if self._request.in_place or located.folder.local is not None:
            return self._record(located, located)
        with scratch_folder("adopt", sum(file.size for file in located.files)) as scratch:
            return self._record(located, locate_checkpoint(Uri(fetch_located(located, scratch))))

    def _record(self, located: Located, local: Located) -> _Outcome:
        """Put one checkpoint into the catalogue, with the files read from `local`."""
        source = open_located(local)
        described = describe_bare(source, self._request.model)
        if find_recorded(self._catalogue, described) is not None:
            return _AlreadyRecorded()
        source.verify()
        trained_at = self._request.trained_at or self._times.find(located, described.step)
        files, prefix = ({}, "") if self._request.in_place else (_names_in_catalogue(local), _prefix(local))
        recorded = add_checkpoint(
            self._catalogue,
            replace(described, trained_at=trained_at, uri=self._uri(described, located), prefix=prefix),
            files,
        )
        return AdoptedCheckpoint(
            uri=located.uri, step=recorded.step, trained_at=recorded.trained_at, digest=recorded.digest
        )

    def _uri(self, described: Checkpoint, located: Located) -> Uri:
        if self._request.in_place:
            # Refuse now a name that could not be parsed when the record is read again.
            return Uri(str(located.uri))
        return self._catalogue.uri / described.model / folder_name(described.step, described.digest)


def _prefix(located: Located) -> str:
    """The beginning of the files' names in the catalogue.

    Files of Keras keep their suffix. An index of shards keeps its name, which the shards share.
    """
    if located.kind == "sharded":
        return located.name
    return PREFIX + (Path(located.name).suffix if located.kind in ("hdf5", "archive") else "")


def _names_in_catalogue(located: Located) -> dict[str, Path]:
    folder = Path(located.folder.uri)
    if located.kind == "sharded":
        return {file.name: folder / file.name for file in located.files}
    return {
        f"{_prefix(located)}{file.name.removeprefix(located.name)}": folder / file.name
        for file in located.files
    }


def _demand_usable(request: AdoptRequest, report: AdoptionReport) -> None:
    if report.adopted or report.known:
        return
    reasons = "; ".join(broken.reason for broken in report.broken[:_SHOWN])
    raise CheckpointCorrupt(
        f"{request.source}: expected at least one usable checkpoint, got only damaged ones"
        f" ({len(report.broken)}): {reasons}"
    )
