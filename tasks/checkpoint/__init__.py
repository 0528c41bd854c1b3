"""Choose one checkpoint of a training run, verify it, and record it in the catalogue.

Nothing here imports TensorFlow: a checkpoint is chosen by the run's metrics and
verified by its own checksums.
"""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path

from tasks.checkpoint.bundle_reader import TensorBundle
from tasks.checkpoint.catalogue import PREFIX, add_checkpoint, folder_name, full_uri
from tasks.checkpoint.listing import choose_checkpoint
from tasks.checkpoint.object_graph import Role, classify_tensors, read_object_graph, variables_by_path
from tasks.errors import CheckpointError, CheckpointMismatch, CheckpointNotFound
from tasks.names import check_model_name
from tasks.records import Checkpoint, TrainingRun
from tasks.requests import CheckpointRequest
from tasks.run_folder import Evaluation, RunFolder
from tasks.times import format_time

__all__ = ["last_whole_checkpoint", "select_checkpoint"]

logger = logging.getLogger(__name__)


def select_checkpoint(request: CheckpointRequest) -> Checkpoint:
    """Choose a checkpoint by step, by metric or as the latest, and put it into the catalogue.

    Args:
        request: The model, the run's folder, the catalogue, and how to choose. Without a folder
            the choice is among what the catalogue has, of all runs.

    Returns:
        The checkpoint's record, also in the catalogue. The same checkpoint chosen again
        gives the same record.

    Raises:
        CheckpointNotFound: The folder holds no run, no checkpoint, or not that one.
        CheckpointCorrupt: A file of it is missing, truncated or altered.
        CheckpointMismatch: The run is of another model.
        StorageError: The catalogue cannot be written.
    """
    check_model_name(request.model)
    if request.source is None:
        return choose_checkpoint(request)
    started = time.monotonic()
    folder, run = _open_run(request)
    step = _choose(request, folder, run)
    prefix = folder.checkpoints / f"ckpt-{step}"
    logger.info("verifying %s", prefix)
    bundle = TensorBundle(prefix)
    bundle.verify()
    found = _describe(bundle, run, folder.evaluations().get(step), step, request.catalogue)
    files = {path.name.replace(prefix.name, PREFIX, 1): path for path in _files(bundle)}
    recorded = add_checkpoint(request.catalogue, found, files)
    logger.info(
        "checkpoint of step %d, %d bytes, in %s after %.1f s",
        step,
        recorded.size_bytes,
        recorded.uri,
        time.monotonic() - started,
    )
    return recorded


def last_whole_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint of a run that is whole, for the run to carry on from.

    TensorFlow's own `checkpoint` file is not asked: a run that was killed between saving
    and noting it there would lose its last interval. One that a crash of the machine
    has torn is passed over.

    Args:
        folder: The run's `checkpoints/`.

    Returns:
        The checkpoint's prefix; None where there is none.
    """
    for step in reversed(_steps(folder)):
        prefix = folder / f"ckpt-{step}"
        try:
            TensorBundle(prefix).verify()
        except CheckpointError as err:
            logger.warning("passing over %s: %s", prefix, err)
            continue
        return prefix
    return None


def _steps(folder: Path) -> list[int]:
    return sorted(int(path.stem.removeprefix("ckpt-")) for path in folder.glob("ckpt-*.index"))


def _open_run(request: CheckpointRequest) -> tuple[RunFolder, TrainingRun]:
    uri = request.source.uri if isinstance(request.source, TrainingRun) else str(request.source)
    folder = RunFolder(Path(uri))
    run = folder.read_run()
    if run is None:
        raise CheckpointNotFound(
            f"{uri}: expected a training run (run.json), got none. Name the folder that train wrote."
        )
    if run.model != request.model:
        raise CheckpointMismatch(
            f"{uri}: expected a run of model {request.model!r}, got one of {run.model!r}."
            " Name a run of this model."
        )
    return folder, run


def _choose(request: CheckpointRequest, folder: RunFolder, run: TrainingRun) -> int:
    steps = _steps(folder.checkpoints)
    if not steps:
        raise CheckpointNotFound(
            f"{folder.checkpoints}: expected checkpoints (ckpt-STEP.index), got none."
            " Train until the first one is saved."
        )
    if request.best is not None:
        return _best(request.best, steps, folder.evaluations(), run, str(folder.path))
    if request.step is None:
        return steps[-1]
    if request.step not in steps:
        raise CheckpointNotFound(
            f"{folder.checkpoints}: expected a checkpoint of step {request.step}, got"
            f" {', '.join(map(str, steps))}. Choose one of these."
        )
    return request.step


def _best(
    metric: str, steps: list[int], evaluations: dict[int, Evaluation], run: TrainingRun, where: str
) -> int:
    values = {
        step: evaluations[step].metrics[metric]
        for step in steps
        if step in evaluations and math.isfinite(evaluations[step].metrics.get(metric, math.nan))
    }
    if not values:
        known = sorted({name for evaluation in evaluations.values() for name in evaluation.metrics})
        raise CheckpointNotFound(
            f"{where}: expected checkpoints with metric {metric!r}, got metrics"
            f" {', '.join(known) or 'none'}. Choose one of these."
        )
    lower = metric.removeprefix("average_") in run.lower_is_better
    pick = min if lower else max
    # Of equal values the later step, which has seen more data.
    return pick(reversed(sorted(values)), key=values.__getitem__)


def _describe(
    bundle: TensorBundle, run: TrainingRun, evaluation: Evaluation | None, step: int, catalogue: str
) -> Checkpoint:
    digest = bundle.digest()
    saved = bundle.index_path.stat().st_mtime
    return Checkpoint(
        model=run.model,
        uri=f"{full_uri(catalogue)}/{run.model}/{folder_name(step, digest)}",
        prefix=PREFIX,
        format="tensor_bundle",
        step=step,
        trained_at=evaluation.time if evaluation else format_time(saved),
        digest=digest,
        size_bytes=sum(path.stat().st_size for path in _files(bundle)),
        metrics=evaluation.metrics if evaluation else {},
        run=run.run,
        averages=_holds_averages(bundle),
        lower_is_better=run.lower_is_better,
    )


def _holds_averages(bundle: TensorBundle) -> bool:
    graph = read_object_graph(bundle)
    if graph is not None:
        return bool(variables_by_path(graph, "average"))
    return Role.MOVING_AVERAGE in classify_tensors(bundle.entries, graph).values()


def _files(bundle: TensorBundle) -> list[Path]:
    return [bundle.index_path, *bundle.shard_paths]
