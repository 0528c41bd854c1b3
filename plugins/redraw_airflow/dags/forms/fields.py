"""Fields that several forms have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowSkipException

from redraw.definition.registry import FoundModel, list_models, list_problems
from redraw.errors import InvalidDefinition, InvalidRequest, InvalidSetting
from redraw_airflow.operators.allowed import PLACES, demand_allowed, demand_allowed_servers, split_servers
from redraw_airflow.operators.failing import keeping_failure
from redraw_airflow.settings import CHECKPOINTS, MODEL_BUCKET

if TYPE_CHECKING:
    from airflow.sdk import Context

# How long a text of a run may be, how many lines a list may have, and how large a whole number.
MODEL_PATTERN = "^[a-z][a-z0-9_]*$"
MOST_TEXT, MOST_PLACE, MOST_LINES, MOST_NUMBER = 500, 1200, 1000, 2**63 - 1
_BOUNDS: Mapping[str, Mapping[str, int]] = {
    "string": {"maxLength": MOST_TEXT},
    "integer": {"maximum": MOST_NUMBER},
    "number": {"maximum": MOST_NUMBER},
}


def checked_by(*checks: Callable[[Context], None]) -> Callable[[Context], None]:
    """The `pre_execute` of a DAG's first task: `check_fields`, then more checks, before anything starts.

    A check raises a `RedrawError`: the task fails by it at once, and leaves it as the XCom `failure`.
    """

    def check(context: Context) -> None:
        task = context["task"]
        stage, model = getattr(task, "stage", task.task_id), str(context["params"].get("model"))
        with keeping_failure(context, stage, model):
            for one in (check_fields, *checks):
                one(context)

    return check


def check_fields(context: Context) -> None:
    """Refuse a run that sets what its form does not have, or names a place that is not allowed.

    Raises:
        InvalidRequest: The form has no such field, the place is elsewhere, or no model was chosen.
        AirflowSkipException: No model was chosen for a schedule.
    """
    fields = context["dag"].params.keys()
    if unknown := sorted(set(context["dag_run"].conf or {}) - set(fields)):
        raise InvalidRequest(
            f"conf: expected fields of the form ({', '.join(fields)}), got {', '.join(unknown)!r:.200}."
            " Correct the spelling, or leave them out."
        )
    if "model" in fields and not context["params"]["model"]:
        message = "model: expected one of the form, got none. Choose one; a DAG with a schedule names it."
        if context["dag_run"].run_type.value == "scheduled":
            raise AirflowSkipException(message)
        raise InvalidRequest(message)
    for name in ("bucket", "catalogue", "saved_model", "warm_start"):
        # What a form does not have depends on no setting of it.
        if name in fields:
            demand_allowed(name, context["params"].get(name), PLACES[name])
    if "servers" in fields:
        demand_allowed_servers(split_servers([context["params"].get("servers") or ""]))


def optional_field(kind: str, title: str, description: str, **more: Any) -> Param:
    """A field that may be left empty; `kind` is its type in JSON Schema."""
    more = {**_BOUNDS[kind], **more}
    return Param(None, type=["null", kind], title=title, description=description, **more)


def model_field(
    description: str, *, needs_training: bool = False, only: str | None = None, scheduled: bool = False
) -> Param:
    """Which model: those that some package defines, each with its own first line.

    Nobody who starts a run gets a model that they did not choose: only a single model is the default.

    Args:
        description: What the model is chosen for.
        needs_training: Whether a model that only exports may not be chosen.
        only: The one model to offer; None: all.
        scheduled: Whether a schedule starts runs too, which need a value of every field.

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
                    "Install a package that announces one, or name it in REDRAW_MODELS.",
                    *problems,
                )
            )
        )
    wording: dict[str, Any] = {
        "title": "Model",
        "values_display": {name: f"{name}: {models[name].summary}" for name in names},
        "description_md": f"{description}\n\n{_described(models.values())}",
    }
    if len(names) == 1:
        return Param(names[0], type="string", enum=names, **wording)
    if scheduled:
        # What Airflow's form shows for a null.
        wording["values_display"] |= {"null": "choose one"}
        return Param(None, type=["null", "string"], enum=[None, *names], **wording)
    return Param(type="string", enum=names, **wording)


def known_model_field(description: str) -> Param:
    """Which model, of those that some package defines or that only the bucket knows.

    It depends on no definition: what is published can be changed whatever is broken.
    """
    models = {model.name: model for model in list_models()}
    return Param(
        type="string",
        pattern=MODEL_PATTERN,
        maxLength=63,
        title="Model",
        examples=list(models),
        values_display={name: f"{name}: {model.summary}" for name, model in models.items()},
        description_md=f"{description}\n\n{_described(models.values())}",
    )


def _described(models: Iterable[FoundModel]) -> str:
    """What the definitions say of themselves that a run's choices depend on; and what cannot be read."""
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
    """Why: a line that nobody may leave empty."""
    return Param(
        type="string",
        pattern="[^ ]",
        maxLength=MOST_TEXT,
        title="Reason",
        description=f"Kept in {where}.",
    )


def approval_hours_field(section: str) -> Param:
    """How long a run waits for a person; a day at first, for that person may be asleep."""
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
        maxLength=MOST_PLACE,
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
