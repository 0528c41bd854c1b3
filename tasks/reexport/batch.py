"""One batch: what its checkpoints share, and what becomes of each."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tasks.batches import ReexportedCheckpoint
from tasks.checkpoint.catalogue import find_record, full_uri
from tasks.errors import DiskFull, RedrawError
from tasks.export.exporter import Exporter
from tasks.export.origin import open_origin
from tasks.file_list import FileList
from tasks.live import read_pointer
from tasks.push import push_model
from tasks.records import Checkpoint, ExportedModel, Release
from tasks.reexport.known import Recipe, find_same_export, find_same_source, without_weights
from tasks.registry import find_fitting
from tasks.requests import ExportRequest, PushRequest, ReexportRequest, ValidateRequest
from tasks.scratch import scratch_folder
from tasks.storage import open_storage
from tasks.validate import Validator, check_waivers

__all__ = ["Batch"]

logger = logging.getLogger(__name__)

Given = Checkpoint | str


class Batch:
    """What the checkpoints of a batch share; a context manager.

    Args:
        request: The batch's.

    Raises:
        InvalidDefinition: The model's definition cannot be loaded.
        InvalidRequest: A waiver has no reason, or names no check.
        StorageError: The bucket is missing, forbidden or does not answer.
    """

    def __init__(self, request: ReexportRequest) -> None:
        self._request = request
        check_waivers(self._validate_request("", "").waivers)
        self._storage = open_storage(request.bucket)
        # A bucket that is not there is no fault of the first checkpoint's.
        read_pointer(self._storage, request.model)
        self._exporter = Exporter()
        # Nor is a definition that cannot be loaded.
        self._exporter.maker(request.model)
        self._reports = full_uri(request.out)
        self._room = contextlib.ExitStack()
        self._scratch = self._room.enter_context(scratch_folder("reexport"))
        self._validator = Validator()
        # By definition: checkpoints of other times may need another one.
        self._recipes: dict[str, Recipe] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._validator.__exit__(kind, error, trace)
        self._room.close()

    def reexport(self, given: Given) -> ReexportedCheckpoint:
        """Export, validate and publish one checkpoint, unless it is published.

        Args:
            given: Its record or its URI.

        Returns:
            What became of it; a failure is told by the row, for the next checkpoint is none the worse.

        Raises:
            StorageUnavailable: The storage does not answer: the rest would fare no better.
            DiskFull: No space is left, with the same outlook.
        """
        started = time.monotonic()
        uri, record = given.uri if isinstance(given, Checkpoint) else given, None
        try:
            record = self._record(given)
            release, there = self._published(given, record)
        except RedrawError as err:
            if err.retryable or isinstance(err, DiskFull):
                raise
            row = _failure(uri, record, str(err), started)
        except Exception as err:
            # A definition's own code may raise anything; the traceback is for whoever mends it.
            logger.exception("%s", uri)
            row = _failure(uri, record, f"{type(err).__name__}: {err}", started)
        else:
            row = _success(uri, release, there, started)
        level = logging.ERROR if row.outcome == "failed" else logging.INFO
        logger.log(level, "%s: %s in %.2f s %s", uri, row.outcome, row.seconds, row.reason or row.version)
        return row

    def _record(self, given: Given) -> Checkpoint:
        record = given if isinstance(given, Checkpoint) else find_record(given)
        return record or open_origin(self._export_request(given, self._scratch))[1]

    def _published(self, given: Given, record: Checkpoint) -> tuple[Release, bool]:
        """The version of a checkpoint, and whether it was there before."""
        # Until one was exported, it is not known what the graph of all of them is.
        definition = find_fitting(self._request.model, record.trained_at).module
        recipe = self._recipes.get(definition)
        known = find_same_source(self._storage, record, recipe) if recipe else None
        if known is not None:
            return known, True
        name = f"{record.step}-{record.digest[:12]}"
        folder = self._scratch / name
        try:
            exported = self._exporter.export(self._export_request(given, folder))
            self._recipes[definition] = self._recipe_of(exported)
            known = find_same_export(self._storage, exported)
            if known is not None:
                return known, True
            return self._publish(exported, f"{self._reports}/{name}.json"), False
        finally:
            _remove(folder)

    def _recipe_of(self, exported: ExportedModel) -> Recipe:
        listed = Path(f"{exported.uri}.files.json")
        files = FileList.from_text(listed.read_bytes(), str(listed)).files
        maker = self._exporter.maker(exported.model, exported.checkpoint.trained_at)
        return Recipe(weights=exported.weights, maker=maker, files=without_weights(files))

    def _publish(self, exported: ExportedModel, report: str) -> Release:
        request = self._request
        validated = self._validator.validate(self._validate_request(exported, report))
        push = PushRequest(
            model=request.model,
            saved_model=exported,
            report=validated,
            bucket=request.bucket,
            by=request.by,
            dag_run=request.dag_run,
            try_number=request.try_number,
        )
        return push_model(push, self._storage)

    def _validate_request(self, exported: ExportedModel | str, report: str) -> ValidateRequest:
        request = self._request
        return ValidateRequest(model=request.model, saved_model=exported, report=report, waive=request.waive)

    def _export_request(self, given: Given, out: Path) -> ExportRequest:
        return ExportRequest(
            model=self._request.model, checkpoint=given, out=str(out), weights=self._request.weights
        )


def _success(uri: str, release: Release, there: bool, started: float) -> ReexportedCheckpoint:
    return ReexportedCheckpoint(
        uri=uri,
        outcome="already there" if there else "exported",
        seconds=_since(started),
        step=release.checkpoint.step,
        trained_at=release.checkpoint.trained_at,
        version=release.version,
        digest=release.digest,
    )


def _failure(uri: str, record: Checkpoint | None, reason: str, started: float) -> ReexportedCheckpoint:
    return ReexportedCheckpoint(
        uri=uri,
        outcome="failed",
        seconds=_since(started),
        step=record.step if record else None,
        trained_at=record.trained_at if record else None,
        reason=" ".join(reason.split()),
    )


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)


def _remove(export: Path) -> None:
    """Remove an export and its records: a batch takes the room of one."""
    shutil.rmtree(export, ignore_errors=True)
    for suffix in (".json", ".files.json", ".ledger.json"):
        Path(f"{export}{suffix}").unlink(missing_ok=True)
