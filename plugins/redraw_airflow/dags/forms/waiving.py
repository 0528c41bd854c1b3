"""The fields of the checks that a run waives, and of the reason."""

from __future__ import annotations

from airflow.sdk import Context, Param

from redraw.validate.plan import EVERY_CHECK, demand_checks
from redraw_airflow.dags.forms.fields import MOST_LINES, MOST_TEXT, optional_field
from redraw_airflow.operators.inputs import waivers


def waive_field(section: str) -> Param:
    """The checks to waive: chosen from a list, or CHECK=REASON in an API call."""
    return Param(
        [],
        type=["null", "array"],
        items={"type": "string", "pattern": "^[a-z-]+(=.*[^ ].*)?$", "maxLength": MOST_TEXT},
        maxItems=MOST_LINES,
        section=section,
        title="Waive checks",
        examples=sorted(EVERY_CHECK),
        description="Checks to publish without, if they cannot be run. Of checks that fail, only"
        " file-configuration, reference-answers and live-answers can be waived. Give the reason below.",
    )


def waive_reason_field(section: str) -> Param:
    """The reason for the waived checks."""
    return optional_field(
        "string",
        "Reason for the waiver",
        "Required if a check is chosen above; kept in the report.",
        section=section,
    )


def check_waivers(context: Context) -> None:
    """Refuse waivers that name no check, or give no reason.

    Raises:
        InvalidRequest: A waiver is wrong.
    """
    params = context["params"]
    demand_checks(text.partition("=")[0].strip() for text in waivers(params["waive"], params["waive_reason"]))
