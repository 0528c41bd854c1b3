"""Export, validate and publish many checkpoints of one model in one process.

The graph is drawn once, the serving process and the reference network start once, and the bucket is opened
once; only the weights change. While one checkpoint is published, the next is prepared. A failure affects only
its own checkpoint. A checkpoint that is published already is not exported again. Nothing becomes live.
"""

from __future__ import annotations

import logging
import time

from redraw.errors import CheckpointsFailed
from redraw.records.reexport import ReexportReport
from redraw.reexport.batch import Batch
from redraw.requests import ReexportRequest
from redraw.storage.opening import map_ahead

logger = logging.getLogger(__name__)


def reexport_checkpoints(request: ReexportRequest) -> ReexportReport:
    """Publish every checkpoint of a batch that is not in the bucket yet.

    Args:
        request: The model, the checkpoints, the bucket and a folder for reports.

    Returns:
        The result of each checkpoint.

    Raises:
        CheckpointsFailed: At least one failed; the others are done, and the error has the report.
        UnknownModel: No definition of that name.
        InvalidDefinition: It cannot be loaded.
        InvalidRequest: A waiver has no reason, or names no check.
        StorageError: The bucket is missing, forbidden or does not answer.
        DiskFull: No space for an export.
    """
    started = time.monotonic()
    with Batch(request) as batch:
        prepared = map(batch.prepare, request.checkpoints)
        rows = tuple(map_ahead(batch.publish, prepared, streams=1))
    report = ReexportReport(
        model=request.model,
        bucket=request.bucket,
        checkpoints=rows,
        seconds=round(time.monotonic() - started, 3),
        events=tuple(batch.events),
    )
    _demand_all(report)
    return report


def _demand_all(report: ReexportReport) -> None:
    failed = report.with_outcome("failed")
    logger.info(
        "reexported %s: %d exported, %d already there, %d failed in %.1f s",
        report.model,
        len(report.with_outcome("exported")),
        len(report.with_outcome("already there")),
        len(failed),
        report.seconds,
    )
    if failed:
        rows = len(report.checkpoints)
        raise CheckpointsFailed(
            f"{len(failed)} of {rows} checkpoints failed: {report.failures_text()}", report
        )
