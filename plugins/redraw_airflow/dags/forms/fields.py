"""Fields that several forms have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from airflow.sdk import Context, Param
from airflow.sdk.exceptions import AirflowSkipException

from redraw.definition.registry import FoundModel, list_models, list_problems
from redraw.errors import InvalidDefinition, InvalidRequest, InvalidSetting
from redraw_airflow.operators.allowed import PLACES, demand_allowed, demand_allowed_servers, split_servers
from redraw_airflow.operators.failures import keeping_failure
from redraw_airflow.settings import CHECKPOINTS, MODEL_BUCKET

MODEL_PATTERN = "^[a-z][a-z0-9_]*$"
# The longest text and place of a run, the most lines of a list, and the largest whole number.
MOST_TEXT, MOST_PLACE, MOST_LINES, MOST_NUMBER = 500, 1200, 1000, 2**63 - 1
_BOUNDS: Mapping[str, Mapping[str, int]] = {
    "string": {"maxLength": MOST_TEXT},
    "integer": {"maximum": MOST_NUMBER},
    "number": {"maximum": MOST_NUMBER},
}


def checked_by(*checks: Callable[[Context], None]) -> Callable[[Context], None]:
    """Make the `pre_execute` of a DAG's first task: `check_fields`, then more checks.

    If a check raises a `RedrawError`, the task fails at once and leaves the error as the XCom `failure`.
    """

    def check(context: Context) -> None:
        task = context["task"]
        stage, model = getattr(task, "stage", task.task_id), str(context["params"].get("model"))
        with keeping_failure(context, stage, model):
            for step in (check_fields, *checks):
                step(context)

    return check


def check_fields(context: Context) -> None:
    """Refuse a run that sets a field which its form does not have, or names a place that is not allowed.

    Raises:
        InvalidRequest: The form has no such field, a place is not allowed, or no model was chosen.
        AirflowSkipException: A scheduled run has no model.
    """
    fields = context["dag"].params.keys()
    if unknown := sorted(set(context["dag_run"].conf or {}) - set(fields)):
        raise InvalidRequest(
            f"conf: expected fields of the form ({', '.join(fields)}), got {', '.join(unknown)!r:.200}."
            " Correct the spelling, or remove these fields."
        )
    if "model" in fields and not context["params"]["model"]:
        message = (
            "model: expected a model of the form, got none. Choose a model. A DAG with a schedule"
            " sets it: retrain_and_export(model=…)."
        )
        if context["dag_run"].run_type.value == "scheduled":
            raise AirflowSkipException(message)
        raise InvalidRequest(message)
    for name in ("bucket", "catalogue", "saved_model", "warm_start"):
        # A form without the field must not depend on the field's setting.
        if name in fields:
            demand_allowed(name, context["params"].get(name), PLACES[name])
    if "servers" in fields:
        demand_allowed_servers(split_servers([context["params"].get("servers") or ""]))


def optional_field(kind: str, title: str, description: str, **keywords: Any) -> Param:
    """A field that may be left empty; `kind` is its type in JSON Schema."""
    keywords = {**_BOUNDS[kind], **keywords}
    return Param(None, type=["null", kind], title=title, description=description, **keywords)


def model_field(
    description: str, *, needs_training: bool = False, only: str | None = None, scheduled: bool = False
) -> Param:
    """The choice of a model that some package defines, each shown with its summary.

    There is a default only if there is a single model, so that nobody trains a model by accident.

    Args:
        description: What the model is chosen for.
        needs_training: Whether a model that only exports may not be chosen.
        only: The one model to offer; None: all.
        scheduled: Whether a schedule starts runs too; they need a value of every field.

    Raises:
        InvalidDefinition: There is no model to choose.
    """
    models = {model.name: model for model in list_models() if only in (None, model.name)}
    names = [
        name for name, model in models.items() if not model.problem and (model.trains or not needs_training)
    ]
    if not names:
        problems = [*list_problems(), *(model.problem for model in models.values())]
        raise InvalidDefinition(
            " ".join(
                (
                    "models: expected at least one definition that can be"
                    f" {'trained' if needs_training else 'used'}, found none.",
                    "Install a package with definitions (entry point group redraw.models), or name a"
                    " package in REDRAW_MODELS.",
                    *problems,
                )
            )
        )
    texts: dict[str, Any] = {
        "title": "Model",
        "values_display": {name: f"{name}: {models[name].summary}" for name in names},
        "description_md": f"{description}\n\n{_describe_all(models.values())}",
    }
    if len(names) == 1:
        return Param(names[0], type="string", enum=names, **texts)
    if scheduled:
        # Airflow's form shows this for a null.
        texts["values_display"] |= {"null": "choose one"}
        return Param(None, type=["null", "string"], enum=[None, *names], **texts)
    return Param(type="string", enum=names, **texts)


def known_model_field(description: str) -> Param:
    """The choice of a model that some package defines or that only the bucket has.

    It needs no definition: a published model can be changed even if its definition is broken.
    """
    models = {model.name: model for model in list_models()}
    return Param(
        type="string",
        pattern=MODEL_PATTERN,
        maxLength=63,
        title="Model",
        examples=list(models),
        values_display={name: f"{name}: {model.summary}" for name, model in models.items()},
        description_md=f"{description}\n\n{_describe_all(models.values())}",
    )


def _describe_all(models: Iterable[FoundModel]) -> str:
    """A list of what matters for a run of each model, and of the definitions that cannot be read."""
    lines = [f"- {model.name}: {text}" for model in models if (text := _describe(model))]
    return "\n".join([*lines, *(f"- {problem}" for problem in list_problems())])


def _describe(model: FoundModel) -> str:
    if model.problem:
        return f"cannot be used: {model.problem}"
    if not model.trains:
        return "only exports, because it has no training data: see reexport_checkpoints"
    facts = [f"has thresholds for {', '.join(model.metrics)}"] if model.metrics else []
    if model.approval_by_another:
        facts.append("someone other than the requester has to approve publication")
    elif model.approval:
        facts.append("a person approves its publication")
    return "; ".join(facts)


def reason_field(where: str) -> Param:
    """The reason, a required line."""
    return Param(
        type="string",
        pattern="[^ ]",
        maxLength=MOST_TEXT,
        title="Reason",
        description=f"Kept in {where}.",
    )


def approval_hours_field(section: str) -> Param:
    """How long a run waits for a person: a day by default."""
    return Param(
        24,
        type="number",
        exclusiveMinimum=0,
        maximum=24 * 28,
        section=section,
        title="Hours to approve in",
        description="If nobody has answered by then, nothing is published.",
    )


def bucket_field(section: str) -> Param:
    """The model bucket; `REDRAW_MODEL_BUCKET` by default."""
    default, description = None, "Where servers load models from: gs://BUCKET or gs://BUCKET/PREFIX."
    try:
        default = MODEL_BUCKET.read()
    except InvalidSetting as err:  # the form says so: with a wrong default the DAG would not load
        description = f"{description} There is no default: {err}"
    return Param(
        default,
        type=["null", "string"],
        pattern="^gs://[a-z0-9][^ ]*$",
        maxLength=MOST_PLACE,
        section=section,
        title="Model bucket",
        description=description,
        examples=["gs://models", "gs://models/production"],
    )


def catalogue_field(section: str) -> Param:
    """The checkpoint catalogue; `REDRAW_CHECKPOINTS` by default."""
    return Param(
        CHECKPOINTS.read(),
        type=["null", "string"],
        maxLength=MOST_PLACE,
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
