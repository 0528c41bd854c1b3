"""Train a model: write checkpoints and metrics into a folder, and resume a stopped run.

The folder may be in a bucket. Then each checkpoint is uploaded after it is saved, and another
machine can resume a run whose machine was lost.

<out>/run.json            the run's record
<out>/metrics.jsonl       a line an evaluation: step, time, metrics
<out>/checkpoints/        TensorFlow's checkpoints, `ckpt-<step>`
<out>/events/             the same metrics for TensorBoard
"""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import replace
from pathlib import Path

from redraw.checkpoint.catalogue.listing import find_named, is_folder_name
from redraw.definition import ModelDefinition
from redraw.definition.registry import load_definition
from redraw.definition.user_code import method_of, running_user_code
from redraw.errors import CheckpointMismatch, InvalidRequest, OutputExists
from redraw.records import TrainingRun, format_metrics
from redraw.requests import TrainRequest
from redraw.runs.folder import RunFolder
from redraw.storage.files import demand_no_pattern, writing_to
from redraw.storage.opening import open_storage
from redraw.train.devices import place_training
from redraw.uri import Uri

logger = logging.getLogger(__name__)


def train_model(request: TrainRequest) -> TrainingRun:
    """Train a model up to a number of steps.

    A folder with an unfinished run of the same model resumes from its last checkpoint; a
    finished run is returned unchanged.

    Args:
        request: The model, the folder, the number of steps, and the source of initial weights.

    Returns:
        The run's record, also in `<out>/run.json`; without metrics from a worker that is not the chief.

    Raises:
        UnknownModel: No definition of that name.
        InvalidDefinition: The definition cannot be drawn, or cannot be trained.
        OutputExists: The folder has other files.
        CheckpointMismatch: The folder, or the warm start, belongs to another model.
        CheckpointNotFound: The catalogue has no checkpoint with the warm start's name, or several.
        ObjectConflict: Another process resumed the run in the same folder of a bucket.
        StorageError: The bucket cannot be used.
        InvalidRequest: A later stage cannot succeed; or `multi_worker` without a `TF_CONFIG` with
            this worker's place.
        WorkerLost: Another worker of the training was lost.
        DiskFull: No space for a checkpoint; earlier ones remain.
    """
    definition = load_definition(request.model)
    definition.check_trainable()
    demand_foreseeable(request, definition)
    if not request.out.is_bucket:
        demand_no_pattern(Path(request.out))
    placement = place_training(request, definition)
    started = time.monotonic()
    with placement.folder(request.out) as folder, writing_to(folder.path):
        run = _open_run(request, folder, definition)
        with contextlib.closing(placement.trainer(definition, folder, run)) as trainer:
            first = trainer.restore(run.warm_start)
            steps = request.max_steps or definition.training.steps
            logger.info("training %s: run %s, steps %d to %d", request.model, run.run, first, steps)
            trainer.train_until(steps)
        uri = run.uri if placement.cluster.leads else request.out.absolute()
        finished = replace(run, uri=uri, step=trainer.step, metrics=folder.last_metrics())
        folder.write_run(finished)
    logger.info(
        "trained %s: step %d in %.1f s: %s",
        request.model,
        finished.step,
        time.monotonic() - started,
        format_metrics(finished.metrics, ".4f"),
    )
    return finished


def _open_run(request: TrainRequest, folder: RunFolder, definition: ModelDefinition) -> TrainingRun:
    """The record of the run in the folder, or of a new one."""
    run = folder.read_run()
    if run is None:
        if not folder.is_empty():
            raise OutputExists(
                f"{folder.uri}: expected an empty folder or a training run, got other files."
                " Choose another --out."
            )
        run = TrainingRun(
            model=request.model,
            uri=folder.uri,
            run=request.run or folder.uri.name,
            step=0,
            lower_is_better=_lower_is_better(definition),
            warm_start=_warm_start(request),
        )
        folder.write_run(run)
    if run.model != request.model:
        raise CheckpointMismatch(
            f"{folder.uri}: expected a run of model {request.model!r}, got one of {run.model!r}."
            " Choose another --out."
        )
    folder.claim()
    return run


def _warm_start(request: TrainRequest) -> Uri | None:
    """The URI of the initial weights, also if their name in the catalogue is given."""
    name = request.warm_start
    if request.catalogue is None or name is None or not is_folder_name(name):
        return name
    return find_named(request.catalogue, request.model, name).uri


def _lower_is_better(definition: ModelDefinition) -> tuple[str, ...]:
    bounds = definition.thresholds.items()
    lower = {name for name, bound in bounds if bound.at_most is not None and bound.at_least is None}
    return tuple(sorted(lower | {"loss"}))


def demand_foreseeable(request: TrainRequest, definition: ModelDefinition) -> None:
    """Check that the stages after the training can succeed.

    Args:
        request: The request, with the settings of later stages.
        definition: The model's definition.

    Raises:
        InvalidRequest: No evaluation will have the metric, no checkpoint of the step will be kept, or the
            training keeps no average of the weights.
        StorageError: The model bucket is missing, forbidden or does not answer.
    """
    if request.best is not None:
        _demand_metric(request.best, definition)
    if request.step is not None:
        _demand_step(request.step, request.max_steps or definition.training.steps, definition)
    if request.weights == "average" and definition.training.average_decay is None:
        raise InvalidRequest(
            f"weights: expected raw, because {request.model} has no average_decay in its training plan, got"
            " 'average'. Choose raw or default, or set average_decay."
        )
    if request.bucket is not None:
        # Only listing matters: it fails if the bucket is missing or forbidden.
        next(open_storage(request.bucket).walk(f"{request.model}/"), None)


def _demand_metric(name: str, definition: ModelDefinition) -> None:
    with running_user_code(method_of(definition, "metrics")):
        measured = {"loss", *definition.metrics()}
    if definition.training.average_decay is not None:
        measured |= {f"average_{metric}" for metric in measured}
    measurable = sorted(measured | {"training_loss"})
    if name not in measurable:
        raise InvalidRequest(
            f"metric: expected a metric of the evaluation ({', '.join(measurable)}), got {name!r:.100}."
            " Choose one of these."
        )


def _demand_step(step: int, steps: int, definition: ModelDefinition) -> None:
    plan = definition.training
    saved = sorted({*range(plan.evaluate_every, steps + 1, plan.evaluate_every), steps})
    remaining = saved[-plan.keep_checkpoints :]
    if step not in remaining:
        raise InvalidRequest(
            f"step: expected a step whose checkpoint a training of {steps} steps keeps ({remaining[0]} to"
            f" {remaining[-1]}, every {plan.evaluate_every}), got {step}. Choose one of these."
        )
