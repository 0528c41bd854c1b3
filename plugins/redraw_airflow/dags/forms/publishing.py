"""The forms of the runs that change what is published: roll back, mark and prune."""

from __future__ import annotations

from airflow.sdk import Param

from redraw_airflow.dags.forms.fields import (
    MOST_NUMBER,
    bucket_field,
    known_model_field,
    optional_field,
    reason_field,
)

_HISTORY = "the history of the live pointer"
# Airflow makes a form when it reads the DAG file, so the form cannot list the versions.
_WHERE_TO_FIND = "The page Models lists the versions; its buttons fill this in."


def roll_back_form() -> dict[str, Param]:
    """The parameters of a run that makes a version live that was live before.

    Returns:
        Name to parameter, in the order of the form; a model and a reason have to be given.
    """
    return {
        "model": known_model_field("The model whose live version changes."),
        "version": optional_field(
            "integer",
            "Version",
            "Which version to make live, such as 2026010203040500. Empty: the version that was live"
            f" before. {_WHERE_TO_FIND}",
            minimum=1,
        ),
        "reason": reason_field(_HISTORY),
        "allow_older": optional_field(
            "string",
            "Reason for older weights",
            "Required if the version was trained before the live one.",
            section="Exceptions",
        ),
        "allow_rejected": optional_field(
            "string",
            "Reason for a rejected version",
            "Required if somebody rolled back from the version.",
            section="Exceptions",
        ),
        "bucket": bucket_field("Where"),
    }


def mark_form() -> dict[str, Param]:
    """The parameters of a run that marks a version, or takes a mark away.

    Returns:
        Name to parameter, in the order of the form; a model, a version and a reason have to be given.
    """
    return {
        "model": known_model_field("The model whose version is marked."),
        "version": Param(
            type="integer",
            minimum=1,
            maximum=MOST_NUMBER,
            title="Version",
            description=f"Which version, such as 2026010203040500. {_WHERE_TO_FIND}",
        ),
        "mark": Param(
            "canary",
            type="string",
            title="What to do",
            enum=["canary", "uncanary", "pin", "unpin"],
            values_display={
                "canary": "canary: servers load it next to the live version",
                "uncanary": "remove the label canary",
                "pin": "pin: it is never pruned",
                "unpin": "remove the pin",
            },
        ),
        "reason": reason_field(_HISTORY),
        "bucket": bucket_field("Where"),
    }


def prune_form() -> dict[str, Param]:
    """The parameters of a run that removes old versions, or lists them.

    Returns:
        Name to parameter, in the order of the form; a model has to be given. Without `apply` a run lists.
    """
    return {
        "model": known_model_field("The model whose old versions are removed."),
        "keep": Param(
            10,
            type=["null", "integer"],
            minimum=0,
            maximum=MOST_NUMBER,
            title="Versions to keep",
            description="How many versions stay, those with the newest weights. The live version, the one"
            " before it, and those that are labelled or pinned always stay. Empty: only the days decide.",
        ),
        "keep_days": optional_field(
            "number",
            "Days to keep",
            "Versions published within this many days also stay, whatever the number above says.",
            minimum=0,
        ),
        "apply": Param(
            False,
            type="boolean",
            title="Remove them",
            description="If off, the run only lists what would be removed, as its XCom. Removed files do"
            " not come back.",
        ),
        "bucket": bucket_field("Where"),
    }
