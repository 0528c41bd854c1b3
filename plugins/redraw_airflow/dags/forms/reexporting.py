"""The form of a run that exports checkpoints of the catalogue again."""

from __future__ import annotations

from airflow.sdk import Context, Param

from redraw.definition.registry import list_models
from redraw.errors import InvalidRequest
from redraw_airflow.dags.forms.fields import (
    MOST_LINES,
    MOST_NUMBER,
    approval_hours_field,
    bucket_field,
    catalogue_field,
    model_field,
    optional_field,
    weights_field,
)
from redraw_airflow.dags.forms.waiving import check_waivers, waive_field, waive_reason_field

# A step in an API call, and in a line of the form.
_STEP_NUMBER = {"type": "integer", "minimum": 0, "maximum": MOST_NUMBER}
_STEP_TEXT = {"type": "string", "pattern": "^ *[0-9]{1,18} *$", "maxLength": 40}
_BY_HAND = " A scheduled or backfilled run uses its data interval instead."


def reexport_form(model: str | None = None) -> dict[str, Param]:
    """The parameters of a run that exports checkpoints of the catalogue again.

    Args:
        model: The only model to offer; None: all that can be used.

    Returns:
        Name to parameter, in the order of the form, which the Backfill tab has too.

    Raises:
        InvalidDefinition: There is no model to choose.
    """
    return {
        "model": model_field("The model whose checkpoints are exported again.", only=model, scheduled=True),
        **_which_checkpoints(),
        "catalogue": catalogue_field("Catalogue"),
        "batch_size": Param(
            50,
            type="integer",
            minimum=1,
            maximum=MOST_NUMBER,
            section="Catalogue",
            title="Batch",
            description="How many checkpoints one task exports, in one process.",
        ),
        "weights": weights_field("Export"),
        "waive": waive_field("Validation"),
        "waive_reason": waive_reason_field("Validation"),
        "bucket": bucket_field("Publication"),
        **({"approval_hours": approval_hours_field("Publication")} if asks_for_approval(model) else {}),
    }


def asks_for_approval(model: str | None = None) -> bool:
    """Whether the definition of a model that the form offers asks for a person's approval."""
    return any(offer.approval for offer in list_models() if model in (None, offer.name))


def check_reexport_choices(context: Context) -> None:
    """Refuse wrong waivers, and dates in the wrong order, before the catalogue is read.

    Raises:
        InvalidRequest: A waiver is wrong, or there is no day between the dates.
    """
    check_waivers(context)
    start, end = context["params"]["trained_from"], context["params"]["trained_to"]
    if start and end and start >= end:
        raise InvalidRequest(
            f"trained_to: expected a day after {start} (trained_from), got {end}. Set trained_to to the day"
            " after the last day to export."
        )


def _which_checkpoints() -> dict[str, Param]:
    return {
        "steps": Param(
            [],
            type=["null", "array"],
            # Without a type other than text, the form has a text box with an item on each line.
            items={"anyOf": [_STEP_NUMBER, _STEP_TEXT]},
            maxItems=MOST_LINES,
            title="Steps",
            description="The steps, one on each line, such as 1000. Empty: all.",
        ),
        "trained_from": optional_field(
            "string", "Trained from", f"The first day, in UTC.{_BY_HAND}", format="date"
        ),
        "trained_to": optional_field(
            "string", "Trained before", f"The day after the last one, in UTC.{_BY_HAND}", format="date"
        ),
    }
