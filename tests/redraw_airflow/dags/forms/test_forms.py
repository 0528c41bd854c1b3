from __future__ import annotations

from typing import Any, cast

import pytest
from airflow.sdk.exceptions import AirflowFailException, ParamValidationError

from redraw_airflow.dags.forms import (
    check_reexport_choices,
    check_retrain_choices,
    mark_form,
    prune_form,
    reexport_form,
    retrain_form,
    roll_back_form,
)

CHOICES = {"model": "mnist", "approval": "default", "checkpoint": "latest", "metric": None, "step": None}


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"checkpoint": "best"}, "^metric: expected a value with checkpoint='best', got none"),
        ({"checkpoint": "best", "metric": ""}, "^metric: expected a value"),
        ({"checkpoint": "step", "metric": "loss"}, "^step: expected a value with checkpoint='step'"),
    ],
)
def test_check_retrain_choices_that_do_not_go_together_fails_at_once(
    choices: dict[str, Any], message: str
) -> None:
    with pytest.raises(AirflowFailException, match=message):
        check_retrain_choices(cast(Any, {"params": CHOICES | choices}))


@pytest.mark.parametrize(
    "choices", [{}, {"checkpoint": "best", "metric": "loss"}, {"checkpoint": "step", "step": 1}]
)
def test_check_retrain_choices_that_go_together_passes(choices: dict[str, Any]) -> None:
    check_retrain_choices(cast(Any, {"params": CHOICES | choices}))


@pytest.mark.parametrize("end", ["2026-01-02", "2026-01-01"])
def test_check_reexport_choices_of_days_that_hold_none_fails_at_once(end: str) -> None:
    with pytest.raises(AirflowFailException, match="^trained_to: expected a day after 2026-01-02"):
        check_reexport_choices(cast(Any, {"params": {"trained_from": "2026-01-02", "trained_to": end}}))


@pytest.mark.parametrize("days", [("2026-01-02", "2026-01-03"), (None, "2026-01-01"), ("2026-01-01", None)])
def test_check_reexport_choices_of_days_passes(days: tuple[str | None, str | None]) -> None:
    start, end = days
    check_reexport_choices(cast(Any, {"params": {"trained_from": start, "trained_to": end}}))


@pytest.mark.parametrize(
    ("form", "sections"),
    [
        (retrain_form, ["Training", "Checkpoint", "Export", "Validation", "Publication"]),
        (reexport_form, ["Checkpoints", "Export", "Validation", "Publication"]),
        (roll_back_form, ["Roll back"]),
        (mark_form, ["Mark"]),
        (prune_form, ["Prune"]),
    ],
)
def test_forms_have_their_sections_in_the_order_of_the_path(form: Any, sections: list[str]) -> None:
    assert list(dict.fromkeys(param.schema["section"] for param in form().values())) == sections


def test_model_field_says_what_each_definition_holds_itself_to() -> None:
    field = retrain_form()["model"]

    assert "- mnist: keeps bounds on accuracy, loss" in field.schema["description_md"]
    assert field.schema["values_display"]["mnist"].startswith("mnist: Handwritten digits")
    assert retrain_form()["metric"].schema["examples"] == ["accuracy", "loss"]


@pytest.mark.parametrize(
    ("name", "value"), [("approval", "perhaps"), ("approval_hours", 0), ("step", 0), ("waive", ["warm-up"])]
)
def test_retrain_form_refuses_a_value_by_its_own_schema(name: str, value: Any) -> None:
    with pytest.raises(ParamValidationError):
        retrain_form()[name].resolve(value)
