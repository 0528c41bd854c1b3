"""A batch of checkpoints: what they share, and how each is prepared and published.

A checkpoint is prepared (exported and validated), then published; meanwhile the next one may be prepared.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from redraw.checkpoint.catalogue.store import find_record
from redraw.definition.registry import find_fitting
from redraw.export.export import Exporter
from redraw.export.source import open_origin
from redraw.publish.live.set_live import read_pointer
from redraw.publish.push.push import push_model
from redraw.records import Checkpoint, ExportedModel, Release
from redraw.records.events import ModelEvent
from redraw.records.files import FileList
from redraw.records.reexport import ReexportedCheckpoint
from redraw.reexport.job import Job
from redraw.reexport.published import Recipe, find_same_export, find_same_source, without_weights
from redraw.requests import ExportRequest, PushRequest, ReexportRequest, ValidateRequest
from redraw.storage.opening import open_storage
from redraw.storage.scratch import scratch_folder
from redraw.uri import Uri
from redraw.validate.plan import demand_checks
from redraw.validate.validator import Validator

Source = Checkpoint | Uri


@dataclass(frozen=True)
class Prepared:
    """A checkpoint whose export was validated, and the request to push it."""

    job: Job
    folder: Path
    request: PushRequest
    published: threading.Event


class Batch:
    """The resources that the checkpoints of a batch share; a context manager.

    Attributes:
        events: The events of its published versions.

    Raises:
        InvalidDefinition: The model's definition cannot be loaded.
        InvalidRequest: A waiver has no reason, or names no check.
        StorageError: The bucket is missing, forbidden or does not answer.
    """

    def __init__(self, request: ReexportRequest) -> None:
        self._request = request
        demand_checks(self._validate_request(Uri(""), Uri("")).waivers)
        self._storage = open_storage(request.bucket)
        # A missing bucket must fail the batch, not its first checkpoint.
        read_pointer(self._storage, request.model)
        self._exporter = Exporter()
        # So must a definition that cannot be loaded.
        self._exporter.maker(request.model)
        self._reports = request.out.absolute()
        self._room = contextlib.ExitStack()
        self._scratch = self._room.enter_context(scratch_folder("reexport"))
        self._validator = Validator()
        # By definition, because checkpoints of other times may need another one.
        self._recipes: dict[str, Recipe] = {}
        # By the export's folder: if a checkpoint is given twice, the second waits for the first.
        self._unpublished: dict[str, threading.Event] = {}
        self.events: list[ModelEvent] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._validator.__exit__(kind, error, trace)
        self._room.close()

    def prepare(self, source: Source) -> ReexportedCheckpoint | Prepared:
        """Export and validate one checkpoint, unless it is published.

        Args:
            source: Its record or its URI.

        Returns:
            The checkpoint to publish, or its row if it is published or failed; a failure does not affect the
            next checkpoints.

        Raises:
            StorageUnavailable: The storage does not answer, so the other checkpoints would fail, too.
            DiskFull: No space is left for any checkpoint.
        """
        job = Job(
            uri=source.uri if isinstance(source, Checkpoint) else source,
            started=time.monotonic(),
            folders=(self._scratch, Path(self._reports)),
        )

        def prepare() -> ReexportedCheckpoint | Prepared:
            job.record = self._record(source)
            folder = self._scratch / f"{job.record.step}-{job.record.digest[:12]}"
            self._await(folder)
            result = self._export_or_find(source, job.record, folder)
            if isinstance(result, Release):
                return job.succeeded(result, "already there")
            self._unpublished[folder.name] = published = threading.Event()
            return Prepared(job, folder, result, published)

        return job.attempt(prepare)

    def publish(self, prepared: ReexportedCheckpoint | Prepared) -> ReexportedCheckpoint:
        """Publish a prepared checkpoint, perhaps in another thread while the next one is prepared.

        Returns:
            Its row.

        Raises:
            StorageUnavailable: The storage does not answer, so the other checkpoints would fail, too.
        """
        if isinstance(prepared, ReexportedCheckpoint):
            return prepared
        job, request = prepared.job, prepared.request

        def publish() -> ReexportedCheckpoint:
            try:
                release = push_model(request, self._storage)
                self.events += release.events
                return job.succeeded(release, "exported")
            finally:
                _remove(prepared.folder)
                self._unpublished.pop(prepared.folder.name, None)
                prepared.published.set()

        return job.attempt(publish)

    def _record(self, source: Source) -> Checkpoint:
        record = source if isinstance(source, Checkpoint) else find_record(source)
        return record or open_origin(self._export_request(source, self._scratch))[1]

    def _await(self, folder: Path) -> None:
        published = self._unpublished.get(folder.name)
        if published is not None:
            published.wait()

    def _export_or_find(self, source: Source, record: Checkpoint, folder: Path) -> Release | PushRequest:
        """The existing version of a checkpoint, or the request to push a new export."""
        # The graph of the definition is known only after the first export.
        definition = find_fitting(self._request.model, record.trained_at).module
        recipe = self._recipes.get(definition)
        release = find_same_source(self._storage, record, recipe) if recipe else None
        if release is not None:
            return release
        with contextlib.ExitStack() as stack:
            stack.callback(_remove, folder)
            exported = self._exporter.export(self._export_request(source, folder))
            self._recipes[definition] = self._recipe_of(exported)
            release = find_same_export(self._storage, exported)
            if release is not None:
                return release
            push = self._validate(exported, self._reports / f"{folder.name}.json")
            stack.pop_all()
        return push

    def _recipe_of(self, exported: ExportedModel) -> Recipe:
        path = Path(f"{exported.uri}.files.json")
        files = FileList.from_text(path.read_bytes(), str(path)).files
        maker = self._exporter.maker(exported.model, exported.checkpoint.trained_at)
        return Recipe(weights=exported.weights, maker=maker, files=without_weights(files))

    def _validate(self, exported: ExportedModel, report: Uri) -> PushRequest:
        request = self._request
        validated = self._validator.validate(self._validate_request(exported, report))
        return PushRequest(
            model=request.model,
            saved_model=exported,
            report=validated,
            bucket=request.bucket,
            by=request.by,
            dag_run=request.dag_run,
            try_number=request.try_number,
        )

    def _validate_request(self, exported: ExportedModel | Uri, report: Uri) -> ValidateRequest:
        request = self._request
        return ValidateRequest(model=request.model, saved_model=exported, report=report, waive=request.waive)

    def _export_request(self, source: Source, out: Path) -> ExportRequest:
        return ExportRequest(
            model=self._request.model, checkpoint=source, out=Uri(out), weights=self._request.weights
        )


def _remove(export: Path) -> None:
    """Remove an export and its records: a batch needs room for two, one being made and one being pushed."""
    shutil.rmtree(export, ignore_errors=True)
    for suffix in (".json", ".files.json", ".ledger.json"):
        Path(f"{export}{suffix}").unlink(missing_ok=True)
