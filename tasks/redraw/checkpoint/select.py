"""Choose one checkpoint of a training run, verify it, and record it in the catalogue.

Nothing here imports TensorFlow: a checkpoint is chosen by the run's metrics and
verified by its own checksums.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.catalogue.listing import choose_checkpoint
from redraw.checkpoint.catalogue.store import PREFIX, add_checkpoint, folder_name
from redraw.checkpoint.objects.object_graph import read_object_graph, variables_by_path
from redraw.checkpoint.objects.roles import Role, classify_tensors
from redraw.errors import CheckpointError, CheckpointMismatch, CheckpointNotFound
from redraw.records import Checkpoint, TrainingRun
from redraw.records.times import format_time
from redraw.requests import CheckpointRequest
from redraw.runs.bucket import open_run_folder
from redraw.runs.folder import Evaluation, RunFolder
from redraw.uri import Uri

logger = logging.getLogger(__name__)


def select_checkpoint(request: CheckpointRequest) -> Checkpoint:
    """Choose a checkpoint by step, by metric or as the latest, and put it into the catalogue.

    Args:
        request: The model, the run's folder, the catalogue, and how to choose. Without a folder,
            the checkpoint is chosen from the catalogue, among all runs.

    Returns:
        The checkpoint's record, also in the catalogue. Choosing the same checkpoint again
        returns the same record.

    Raises:
        CheckpointNotFound: The folder has no run, no checkpoint, or not the requested one.
        CheckpointCorrupt: A file of the checkpoint is missing, truncated or altered.
        CheckpointMismatch: The run is of another model.
        StorageError: The catalogue cannot be written.
    """
    if request.source is None:
        return choose_checkpoint(request)
    started = time.monotonic()
    source = request.source
    with open_run_folder(source.uri if isinstance(source, TrainingRun) else source, "checkpoint") as folder:
        recorded = _record(request, folder)
    logger.info(
        "checkpoint of step %d, %d bytes, in %s after %.1f s",
        recorded.step,
        recorded.size_bytes,
        recorded.uri,
        time.monotonic() - started,
    )
    return recorded


def last_whole_checkpoint(folder: RunFolder) -> Path | None:
    """The newest intact checkpoint of a run, for the run to resume from.

    TensorFlow's own `checkpoint` file is not read: a run that was killed after saving but
    before updating it would lose its last interval. A damaged checkpoint, for example after
    a crash of the machine, is skipped.

    Returns:
        The checkpoint's prefix on this machine; None if there is none.
    """
    for step in reversed(folder.steps()):
        prefix = folder.checkpoint(step)
        try:
            TensorBundle(prefix).verify()
        except CheckpointError as err:
            logger.warning("skipping %s: %s", prefix, err)
            continue
        return prefix
    return None


def _record(request: CheckpointRequest, folder: RunFolder) -> Checkpoint:
    run = _read_run(request, folder)
    step = _choose(request, folder, run)
    prefix = folder.checkpoint(step)
    logger.info("verifying the checkpoint of step %d in %s", step, folder.uri)
    bundle = TensorBundle(prefix)
    bundle.verify()
    checkpoint = _describe(bundle, run, folder.evaluations().get(step), step, request.catalogue)
    files = {path.name.replace(prefix.name, PREFIX, 1): path for path in _files(bundle)}
    return add_checkpoint(request.catalogue, checkpoint, files)


def _read_run(request: CheckpointRequest, folder: RunFolder) -> TrainingRun:
    uri, run = folder.uri, folder.read_run()
    if run is None:
        raise CheckpointNotFound(
            f"{uri}: expected a training run (run.json), got none. Name the folder that 'redraw train' wrote."
        )
    if run.model != request.model:
        raise CheckpointMismatch(
            f"{uri}: expected a run of model {request.model!r}, got one of {run.model!r}."
            " Name a run of this model."
        )
    return run


def _choose(request: CheckpointRequest, folder: RunFolder, run: TrainingRun) -> int:
    steps = folder.steps()
    if not steps:
        raise CheckpointNotFound(
            f"{folder.uri}/checkpoints: expected checkpoints (ckpt-STEP.index), got none. Train until the"
            " first checkpoint is saved."
        )
    if request.best is not None:
        return _best(request.best, steps, folder.evaluations(), run, folder.uri)
    if request.step is None:
        return steps[-1]
    if request.step not in steps:
        raise CheckpointNotFound(
            f"{folder.uri}/checkpoints: expected a checkpoint of step {request.step}, found steps"
            f" {', '.join(map(str, steps))}. Choose one of these."
        )
    return request.step


def _best(
    metric: str, steps: list[int], evaluations: dict[int, Evaluation], run: TrainingRun, where: str
) -> int:
    values = {
        step: value
        for step in steps
        if step in evaluations and (value := evaluations[step].metrics.get(metric)) is not None
    }
    if not values:
        available = sorted({name for evaluation in evaluations.values() for name in evaluation.metrics})
        raise CheckpointNotFound(
            f"{where}: expected checkpoints with metric {metric!r}, found metrics"
            f" {', '.join(available) or 'none'}. Choose one of these."
        )
    lower = metric.removeprefix("average_") in run.lower_is_better
    pick = min if lower else max
    # Of equal values, choose the later step, which was trained on more data.
    return pick(reversed(sorted(values)), key=values.__getitem__)


def _describe(
    bundle: TensorBundle, run: TrainingRun, evaluation: Evaluation | None, step: int, catalogue: Uri
) -> Checkpoint:
    digest = bundle.digest()
    saved = bundle.index_path.stat().st_mtime
    return Checkpoint(
        model=run.model,
        uri=catalogue.absolute() / run.model / folder_name(step, digest),
        prefix=PREFIX,
        format="tensor_bundle",
        step=step,
        trained_at=evaluation.time if evaluation else format_time(saved),
        digest=digest,
        size_bytes=sum(path.stat().st_size for path in _files(bundle)),
        metrics=evaluation.metrics if evaluation else {},
        run=run.run,
        averages=_has_averages(bundle),
        lower_is_better=run.lower_is_better,
    )


def _has_averages(bundle: TensorBundle) -> bool:
    graph = read_object_graph(bundle)
    if graph is not None:
        return bool(variables_by_path(graph, "average"))
    return Role.MOVING_AVERAGE in classify_tensors(bundle.entries, graph).values()


def _files(bundle: TensorBundle) -> list[Path]:
    return [bundle.index_path, *bundle.shard_paths]
