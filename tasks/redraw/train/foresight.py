"""What a run will need of a training once it is over, checked before it begins: an hour is too late."""

from __future__ import annotations

from redraw.definition import ModelDefinition
from redraw.definition.user_code import method_of, running_user_code
from redraw.errors import InvalidRequest
from redraw.requests import TrainRequest
from redraw.storage.opening import open_storage


def demand_foreseeable(request: TrainRequest, definition: ModelDefinition) -> None:
    """Demand that what comes after the training can be done.

    Args:
        request: What was asked, with what comes after it.
        definition: The model's.

    Raises:
        InvalidRequest: No evaluation will have the metric, no checkpoint of the step will be kept, or no
            average of the weights.
        StorageError: The model bucket is missing, forbidden or does not answer.
    """
    if request.best is not None:
        _demand_metric(request.best, definition)
    if request.step is not None:
        _demand_step(request.step, request.max_steps or definition.training.steps, definition)
    if request.weights == "average" and definition.training.average_decay is None:
        raise InvalidRequest(
            f"weights: expected raw, for {request.model} keeps no average while it trains, got 'average'."
            " Choose raw or default, or set average_decay in the definition's training plan."
        )
    if request.bucket is not None:
        # Whatever the answer is: it takes a bucket that is there, and the right to list it.
        next(open_storage(request.bucket).walk(f"{request.model}/"), None)


def _demand_metric(name: str, definition: ModelDefinition) -> None:
    with running_user_code(method_of(definition, "metrics")):
        measured = {"loss", *definition.metrics()}
    if definition.training.average_decay is not None:
        measured |= {f"average_{metric}" for metric in measured}
    known = sorted(measured | {"training_loss"})
    if name not in known:
        raise InvalidRequest(
            f"metric: expected one of {', '.join(known)}, which the evaluation measures, got {name!r:.100}."
            " Correct it."
        )


def _demand_step(step: int, steps: int, definition: ModelDefinition) -> None:
    plan = definition.training
    saved = sorted({*range(plan.evaluate_every, steps + 1, plan.evaluate_every), steps})
    kept = saved[-plan.keep_checkpoints :]
    if step not in kept:
        raise InvalidRequest(
            f"step: expected one that a training of {steps} steps keeps a checkpoint of, from {kept[0]} to"
            f" {kept[-1]} every {plan.evaluate_every}, got {step}. Correct it."
        )
