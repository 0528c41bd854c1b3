"""Fields that several forms have."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param

from redraw.definition.registry import FoundModel, default_model, list_models, list_problems
from redraw.errors import InvalidDefinition, InvalidSetting
from redraw_airflow.settings import CHECKPOINTS, MODEL_BUCKET

__all__ = [
    "bucket_field",
    "catalogue_field",
    "model_field",
    "optional_field",
    "reason_field",
    "waive_field",
    "weights_field",
]


def optional_field(kind: str, section: str, title: str, description: str, **more: Any) -> Param:
    """A field that may be left empty; `kind` is its type in JSON Schema."""
    return Param(None, type=["null", kind], section=section, title=title, description=description, **more)


def model_field(
    section: str, description: str, *, needs_definition: bool = True, only: str | None = None
) -> Param:
    """Which model: those that some package defines, each with its own first line.

    Args:
        section: Of the form.
        description: What the model is chosen for.
        needs_definition: Whether a model whose definition cannot be used may not be chosen.
        only: The one model to offer; None: all.

    Raises:
        InvalidDefinition: There is no model to choose.
    """
    models = {model.name: model for model in list_models() if only in (None, model.name)}
    names = [name for name, model in models.items() if not (needs_definition and model.problem)]
    if not names:
        problems = [*list_problems(), *(model.problem for model in models.values())]
        raise InvalidDefinition(
            " ".join(
                (
                    "models: expected at least one definition that can be used, found none. Install a"
                    " package that announces one, or name it in REDRAW_MODELS.",
                    *problems,
                )
            )
        )
    return Param(
        default_model(names),
        type="string",
        section=section,
        title="Model",
        enum=names,
        values_display={name: f"{name}: {models[name].summary}" for name in names},
        description_md=f"{description}\n\n{_described(models)}",
    )


def _described(models: dict[str, FoundModel]) -> str:
    """What the definitions say of themselves that a run's choices depend on."""
    return "\n".join(f"- {name}: {_describe(model)}" for name, model in models.items())


def _describe(model: FoundModel) -> str:
    if model.problem:
        return f"cannot be used: {model.problem}"
    bounds = f"keeps bounds on {', '.join(model.metrics)}" if model.metrics else "sets no bounds"
    return bounds + ("; a person approves its publication" if model.approval else "")


def reason_field(section: str, where: str) -> Param:
    """Why: a line that nobody may leave empty.

    Args:
        section: Of the form.
        where: Where the reason is kept.
    """
    return Param(
        type="string",
        pattern="[^ ]",
        maxLength=500,
        section=section,
        title="Reason",
        description=f"Why; it is kept in {where}.",
    )


def bucket_field(section: str) -> Param:
    """The model bucket; `REDRAW_MODEL_BUCKET` unless a run says otherwise."""
    default, description = None, "Where servers load models from: gs://BUCKET or gs://BUCKET/PREFIX."
    try:
        default = MODEL_BUCKET.read()
    except InvalidSetting as err:  # the form says so, for the DAG would not load with a wrong default
        description = f"{description} There is no default: {err}"
    return Param(
        default,
        type=["null", "string"],
        pattern="^gs://[a-z0-9][^ ]*$",
        section=section,
        title="Model bucket",
        description=description,
        examples=["gs://models", "gs://models/production"],
    )


def catalogue_field(section: str) -> Param:
    """The checkpoint catalogue; `REDRAW_CHECKPOINTS` unless a run says otherwise."""
    return Param(
        CHECKPOINTS.read(),
        type=["null", "string"],
        section=section,
        title="Catalogue",
        description="Where checkpoints are kept: a gs:// URI, or a folder that all workers share.",
        examples=["gs://checkpoints", "/shared/checkpoints"],
    )


def weights_field(section: str) -> Param:
    """Which of a checkpoint's weights are served."""
    return Param(
        "default",
        type="string",
        section=section,
        title="Weights",
        enum=["default", "raw", "average"],
        values_display={
            "default": "as the definition says",
            "raw": "as they were trained",
            "average": "their moving average",
        },
        description="Which of the checkpoint's weights are served.",
    )


def waive_field(section: str) -> Param:
    """The checks that may be left undone."""
    return Param(
        [],
        type=["null", "array"],
        items={"type": "string", "pattern": "^[a-z-]+=.*[^ ].*$"},
        section=section,
        title="Waive checks",
        description="CHECK=REASON, one a line: publish although the check cannot be run. Of checks that"
        " fail only file-configuration can be waived. For example: warm-up=the examples need a GPU",
    )
