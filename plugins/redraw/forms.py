"""The trigger forms: what a run by hand may choose, and what it chooses if it says nothing.

The defaults come from the environment of the DAG processor, so that the scheduled run,
the form and a call of the API without `conf` all do the same.
"""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import Param

from tasks.errors import InvalidDefinition
from tasks.registry import list_models

__all__ = ["reexport_form", "retrain_form", "roll_back_form"]


def retrain_form() -> dict[str, Param]:
    """The parameters of a run that trains a model and publishes it.

    Returns:
        Name to parameter, in the order of the form; the models are those found in the
        packages of `REDRAW_MODELS`.

    Raises:
        InvalidDefinition: No model is found, or a package cannot be read.
    """
    return {**_training(), **_checkpoint(), **_validation(), **_publication()}


def roll_back_form() -> dict[str, Param]:
    """The parameters of a run that makes a version live that was live before.

    Returns:
        Name to parameter, in the order of the form.

    Raises:
        InvalidDefinition: As `retrain_form`.
    """
    return {
        "model": _model("Roll back", "Whose live version changes."),
        "version": _optional(
            "integer",
            "Roll back",
            "Version",
            "Which version to make live. Empty: the one that was live before.",
            minimum=1,
        ),
        "reason": _optional(
            "string", "Roll back", "Reason", "Why; it is kept in the history of the live pointer."
        ),
        "allow_older": _optional(
            "string",
            "Roll back",
            "Why older weights may be live",
            "Needed where a version is named that was trained before the live one.",
        ),
        "bucket": _bucket("Roll back"),
    }


def reexport_form() -> dict[str, Param]:
    """The parameters of a run that exports checkpoints of the catalogue again.

    Returns:
        Name to parameter, in the order of the form.

    Raises:
        InvalidDefinition: As `retrain_form`.
    """
    catalogue, waive = _checkpoint()["catalogue"], _validation()["waive"]
    weights, bucket = (_publication()[name] for name in ("weights", "bucket"))
    return {
        "model": _model("Checkpoints", "Whose checkpoints are exported again."),
        **_which_checkpoints(),
        "catalogue": catalogue,
        "batch_size": Param(
            50,
            type="integer",
            minimum=1,
            section="Checkpoints",
            title="Batch",
            description="How many checkpoints one task does, in one process.",
        ),
        "waive": waive,
        "weights": weights,
        "bucket": bucket,
    }


def _which_checkpoints() -> dict[str, Param]:
    by_hand = " A scheduled or backfilled run takes those of its data interval."
    return {
        "steps": Param(
            [],
            type=["null", "array"],
            items={"type": "integer", "minimum": 0},
            section="Checkpoints",
            title="Steps",
            description="The steps, one a line. Empty: all.",
        ),
        "trained_from": _optional(
            "string", "Checkpoints", "Trained from", f"The first day, in UTC.{by_hand}", format="date"
        ),
        "trained_to": _optional(
            "string",
            "Checkpoints",
            "Trained before",
            f"The day after the last one, in UTC.{by_hand}",
            format="date",
        ),
    }


def _optional(kind: str, section: str, title: str, description: str, **more: Any) -> Param:
    """A field that may be left empty; `kind` is its type in JSON Schema."""
    return Param(None, type=["null", kind], section=section, title=title, description=description, **more)


def _model(section: str, description: str) -> Param:
    models = {model.name: model.summary for model in list_models()}
    if not models:
        raise InvalidDefinition(
            "REDRAW_MODELS: expected at least one definition in its packages, found none. Add one."
        )
    names = list(models)
    return Param(
        "mnist" if "mnist" in models else names[0],
        type="string",
        section=section,
        title="Model",
        enum=names,
        values_display={name: f"{name}: {summary}" for name, summary in models.items()},
        description=description,
    )


def _bucket(section: str) -> Param:
    return Param(
        os.environ.get("REDRAW_MODEL_BUCKET"),
        type=["null", "string"],
        pattern="^gs://[a-z0-9][^ ]*$",
        section=section,
        title="Model bucket",
        description="Where servers load models from: gs://BUCKET or gs://BUCKET/PREFIX.",
    )


def _training() -> dict[str, Param]:
    return {
        "model": _model("Training", "The definition that draws every graph of the model."),
        "steps": _optional(
            "integer",
            "Training",
            "Steps",
            "Batches to train on. Empty: as many as the definition says.",
            minimum=1,
        ),
        "warm_start": _optional(
            "string",
            "Training",
            "Warm start",
            "A checkpoint to take the first weights from: its URI, or its step or STEP-DIGEST"
            " in the catalogue. Empty: train from scratch.",
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
        ),
        "metric": _optional(
            "string",
            "Checkpoint",
            "Metric",
            "For the best checkpoint: the metric of the evaluation that decides.",
            examples=["accuracy", "loss"],
        ),
        "step": _optional(
            "integer", "Checkpoint", "Step", "For the checkpoint of a step: which one.", minimum=1
        ),
        "catalogue": Param(
            os.environ.get("REDRAW_CHECKPOINTS"),
            type=["null", "string"],
            section="Checkpoint",
            title="Catalogue",
            description="Where checkpoints are kept: a gs:// URI, or a folder that all workers share.",
        ),
    }


def _validation() -> dict[str, Param]:
    return {
        "allow_breaking": _optional(
            "string",
            "Validation",
            "Allow a breaking change",
            "Why signatures may break those of the live version. Empty: they may not."
            " The release records it.",
        ),
        "waive": Param(
            [],
            type=["null", "array"],
            items={"type": "string", "pattern": "^[a-z-]+=.*[^ ].*$"},
            section="Validation",
            title="Waive checks",
            description="CHECK=REASON, one a line: publish although the check cannot be run. A check that"
            " fails cannot be waived.",
        ),
    }


def _publication() -> dict[str, Param]:
    return {
        "weights": Param(
            "default",
            type="string",
            section="Publication",
            title="Weights",
            enum=["default", "raw", "average"],
            values_display={
                "default": "as the definition says",
                "raw": "as they were trained",
                "average": "their moving average",
            },
        ),
        "bucket": _bucket("Publication"),
        "make_live": Param(
            True,
            type="boolean",
            section="Publication",
            title="Make it live",
            description="Let servers take the version, unless one that was trained later is live.",
        ),
    }
