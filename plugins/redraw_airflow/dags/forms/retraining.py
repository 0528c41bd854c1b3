"""The form of a run that trains a model and publishes it: its sections follow the order of the tasks."""

from __future__ import annotations

from airflow.sdk import Context, Param
from airflow.sdk.exceptions import AirflowSkipException

from redraw.definition.registry import list_models
from redraw.errors import InvalidRequest
from redraw.settings import SERVERS
from redraw_airflow.dags.forms.fields import (
    MOST_PLACE,
    MOST_TEXT,
    approval_hours_field,
    bucket_field,
    catalogue_field,
    model_field,
    optional_field,
    weights_field,
)
from redraw_airflow.dags.forms.waiving import check_waivers, waive_field, waive_reason_field
from redraw_airflow.operators.approval import approval_required


def retrain_form(model: str | None = None, *, scheduled: bool = False) -> dict[str, Param]:
    """The parameters of a run that trains a model and publishes it.

    Args:
        model: The only model to offer; None: all that can be used.
        scheduled: Whether a schedule starts runs too.

    Returns:
        Name to parameter, in the order of the form.

    Raises:
        InvalidDefinition: There is no model to choose.
        InvalidRequest: A schedule would have to choose one of several.
    """
    offered = [offer.name for offer in list_models() if offer.trains and model in (None, offer.name)]
    if scheduled and len(offered) > 1:
        raise InvalidRequest(
            f"schedule: expected a model for scheduled runs, one of {', '.join(offered)}, got none. Set it:"
            " retrain_and_export(model=…, schedule=…)."
        )
    return {
        **_training(model),
        **_checkpoint(),
        "weights": weights_field("Export"),
        **_validation(),
        **_publication(),
        **_rollout(),
    }


def validate_form() -> dict[str, Param]:
    """The parameters of a run that validates an export again and publishes it.

    Returns:
        Name to parameter, in the order of the form; an export has to be named.

    Raises:
        InvalidDefinition: There is no model to choose.
    """
    return {
        "model": model_field("The model whose export is validated."),
        "saved_model": Param(
            type="string",
            pattern="[^ ]",
            maxLength=MOST_PLACE,
            title="Export",
            description="Its folder in the work folder. A button on a failed run's tab Redraw fills this in.",
        ),
        **_validation(),
        **_publication(),
        **_rollout(),
    }


def skip_without_servers(context: Context) -> None:
    """Skip a task whose form names no model servers.

    Raises:
        AirflowSkipException: The field is empty.
    """
    if not context["params"]["servers"]:
        raise AirflowSkipException("the form names no model servers")


def check_publication(context: Context) -> None:
    """Refuse wrong waivers, and a run that skips an approval which the definition asks for.

    Raises:
        InvalidRequest: A choice is wrong.
    """
    check_waivers(context)
    approval_required(context["params"]["approval"], context["params"]["model"])


def check_retrain_choices(context: Context) -> None:
    """Refuse choices that do not go together, before anything is trained.

    Raises:
        InvalidRequest: The best checkpoint lacks a metric, or the checkpoint of a step lacks the step; a
            waiver or the approval is wrong.
    """
    params = context["params"]
    chosen = params["checkpoint"]
    for choice, field in (("best", "metric"), ("step", "step")):
        if chosen == choice and params[field] in (None, ""):
            raise InvalidRequest(
                f"{field}: expected a value with checkpoint={choice!r}, got none. Fill in the field"
                f" {field!r} of the form, or choose another checkpoint."
            )
    check_publication(context)


def _training(model: str | None) -> dict[str, Param]:
    return {
        "model": model_field(
            "The model to train, by its definition. For an old checkpoint with a recorded graph you need not"
            " write one: see *redraw inspect* and *redraw draft*.",
            needs_training=True,
            only=model,
        ),
        "steps": optional_field(
            "integer", "Steps", "Batches to train on. Empty: as many as the definition says.", minimum=1
        ),
        "warm_start": optional_field(
            "string",
            "Warm start",
            "A checkpoint to take the first weights from: its URI, or its step or STEP-DIGEST"
            " in the catalogue, such as 1000 or 1000-1e70157915e5. Empty: train from scratch.",
            maxLength=MOST_PLACE,
        ),
        "distribution": Param(
            "default",
            type="string",
            title="Devices",
            enum=["default", "none", "mirrored", "multi_worker"],
            values_display={
                "default": "as the definition says",
                "none": "one device",
                "mirrored": "all devices of the worker's machine",
                "multi_worker": "all machines that TF_CONFIG names in the worker's environment",
            },
            description="The devices to train on.",
        ),
    }


def _checkpoint() -> dict[str, Param]:
    return {
        "checkpoint": Param(
            "latest",
            type="string",
            section="Checkpoint",
            title="Which checkpoint",
            enum=["latest", "best", "step"],
            values_display={
                "latest": "the last one",
                "best": "the one with the best value of a metric",
                "step": "the one of a step",
            },
            description="Which of the training's checkpoints is exported.",
        ),
        "metric": optional_field(
            "string",
            "Metric",
            "For the best checkpoint: the metric of the evaluation that decides.",
            section="Checkpoint",
            pattern="[^ ]",
            examples=sorted({name for model in list_models() for name in model.metrics} | {"loss"}),
        ),
        "step": optional_field(
            "integer", "Step", "For the checkpoint of a step: which one.", minimum=1, section="Checkpoint"
        ),
        "catalogue": catalogue_field("Checkpoint"),
    }


def _validation() -> dict[str, Param]:
    return {
        "allow_breaking": optional_field(
            "string",
            "Allow a breaking change",
            "Reason to publish signatures that break clients of the live version; kept in the release record."
            " Empty: such signatures are refused.",
            section="Validation",
        ),
        "waive": waive_field("Validation"),
        "waive_reason": waive_reason_field("Validation"),
    }


def _publication() -> dict[str, Param]:
    return {
        "bucket": bucket_field("Publication"),
        "approval": Param(
            "default",
            type="string",
            section="Publication",
            title="Approval",
            enum=["default", "yes", "no"],
            values_display={
                "default": "as the definition says",
                "yes": "wait until a person approves",
                "no": "publish what passed validation, unless the definition asks for approval",
            },
            description="Whether the run waits until a person has looked at the checks and metrics. If the"
            " definition asks for approval, a run cannot skip it.",
        ),
        "approval_hours": approval_hours_field("Publication"),
        "make_live": Param(
            True,
            type="boolean",
            section="Publication",
            title="Make it live",
            description="Servers load the version, unless the live one was trained later.",
        ),
    }


def _rollout() -> dict[str, Param]:
    return {
        "servers": Param(
            ", ".join(SERVERS.read()) or None,
            type=["null", "string"],
            maxLength=MOST_TEXT,
            section="Rollout",
            title="Servers",
            description="Model servers, comma-separated, such as grpc://models:8500. The run waits until each"
            " has loaded the version and gives the recorded answers. Empty: the run ends after the push.",
        ),
        "roll_back": Param(
            False,
            type="boolean",
            section="Rollout",
            title="Roll back",
            description="If a server does not load it, make the previous version live again.",
        ),
    }
