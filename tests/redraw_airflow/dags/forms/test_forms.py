from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.sdk.exceptions import ParamValidationError

from redraw.errors import InvalidName, InvalidRequest
from redraw_airflow.dags.forms import (
    check_fields,
    check_reexport_choices,
    check_retrain_choices,
    mark_form,
    prune_form,
    reexport_form,
    retrain_form,
    roll_back_form,
    validate_form,
)

WAIVERS: dict[str, Any] = {"waive": [], "waive_reason": None}
CHOICES = {
    **WAIVERS,
    "model": "mnist",
    "approval": "default",
    "checkpoint": "latest",
    "metric": None,
    "step": None,
}


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
    with pytest.raises(InvalidRequest, match=message):
        check_retrain_choices(cast(Any, {"params": CHOICES | choices}))


@pytest.mark.parametrize(
    "choices", [{}, {"checkpoint": "best", "metric": "loss"}, {"checkpoint": "step", "step": 1}]
)
def test_check_retrain_choices_that_go_together_passes(choices: dict[str, Any]) -> None:
    check_retrain_choices(cast(Any, {"params": CHOICES | choices}))


@pytest.mark.parametrize("end", ["2026-01-02", "2026-01-01"])
def test_check_reexport_choices_of_days_that_hold_none_fails_at_once(end: str) -> None:
    with pytest.raises(InvalidRequest, match="^trained_to: expected a day after 2026-01-02"):
        check_reexport_choices(
            cast(Any, {"params": WAIVERS | {"trained_from": "2026-01-02", "trained_to": end}})
        )


@pytest.mark.parametrize("days", [("2026-01-02", "2026-01-03"), (None, "2026-01-01"), ("2026-01-01", None)])
def test_check_reexport_choices_of_days_passes(days: tuple[str | None, str | None]) -> None:
    start, end = days
    check_reexport_choices(cast(Any, {"params": WAIVERS | {"trained_from": start, "trained_to": end}}))


@pytest.mark.parametrize(
    ("form", "sections"),
    [
        # Airflow opens the fields that name no section.
        (retrain_form, [None, "Checkpoint", "Export", "Validation", "Publication", "Rollout"]),
        (validate_form, [None, "Validation", "Publication", "Rollout"]),
        (reexport_form, [None, "Catalogue", "Export", "Validation", "Publication"]),
        (roll_back_form, [None, "Exceptions", "Where"]),
        (mark_form, [None, "Where"]),
        (prune_form, [None, "Where"]),
    ],
)
def test_forms_have_their_sections_in_the_order_of_the_path(form: Any, sections: list[str | None]) -> None:
    assert list(dict.fromkeys(param.schema.get("section") for param in form().values())) == sections


def test_model_field_says_what_each_definition_holds_itself_to() -> None:
    field = retrain_form()["model"]

    assert "- mnist: has thresholds for accuracy, loss" in field.schema["description_md"]
    assert field.schema["values_display"]["mnist"].startswith("mnist: Handwritten digits")
    assert retrain_form()["metric"].schema["examples"] == ["accuracy", "loss"]


@pytest.mark.parametrize(
    ("name", "value"), [("approval", "perhaps"), ("approval_hours", 0), ("step", 0), ("waive", ["Warm up"])]
)
def test_retrain_form_refuses_a_value_by_its_own_schema(name: str, value: Any) -> None:
    with pytest.raises(ParamValidationError):
        retrain_form()[name].resolve(value)


FORMS = [retrain_form, validate_form, reexport_form, roll_back_form, mark_form, prune_form]


def unbounded(schema: dict[str, Any]) -> set[str]:
    """The types of values that a schema lets grow as they like."""
    if "enum" in schema:
        return set()
    if "anyOf" in schema:
        return set().union(*map(unbounded, schema["anyOf"]))
    kinds = schema.get("type", [])
    bounds = {"string": "maxLength", "array": "maxItems", "integer": "maximum", "number": "maximum"}
    found = {
        kind
        for kind in ([kinds] if isinstance(kinds, str) else kinds)
        if kind in bounds and bounds[kind] not in schema
    }
    return found | (unbounded(schema["items"]) if "items" in schema else set())


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_every_field_bounds_its_values(form: Any) -> None:
    assert {name: kinds for name, param in form().items() if (kinds := unbounded(param.schema))} == {}


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_every_text_beyond_its_length_is_refused(form: Any) -> None:
    texts = [param for param in form().values() if "maxLength" in param.schema]

    for param in texts:
        with pytest.raises(ParamValidationError):
            param.resolve(f"gs://{2000 * 'a'}")
    assert texts


def _context(conf: dict[str, Any] | None) -> Any:
    form = dict.fromkeys(("model", "bucket", "catalogue", "warm_start", "servers"))
    return {
        "dag": SimpleNamespace(params=form),
        "dag_run": SimpleNamespace(conf=conf),
        "params": form | {"model": "mnist"} | (conf or {}),
    }


@pytest.mark.parametrize("conf", [{"buckte": "gs://a"}, {"model": "mnist", "__proto__": 1}, {" ": 1}])
def test_check_fields_of_an_unknown_one_is_refused_by_name(conf: dict[str, Any]) -> None:
    unknown = next(name for name in conf if name != "model")

    with pytest.raises(InvalidRequest, match="^conf: expected fields of the form") as refused:
        check_fields(_context(conf))

    assert repr(unknown) in str(refused.value)


@pytest.mark.parametrize(
    "conf",
    [
        {"bucket": "gs://other"},
        {"catalogue": "gs://models"},
        {"warm_start": "/etc/passwd"},
        {"warm_start": "gs://other/mnist/1000-0123456789ab"},
        {"catalogue": "gs://a/../b"},
        {"servers": "grpc://elsewhere:8500"},
        {"servers": "grpc://models:8500, grpc://elsewhere:8500"},
    ],
)
def test_check_fields_of_a_place_elsewhere_is_refused(
    conf: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDRAW_MODEL_BUCKET", "gs://models")
    monkeypatch.setenv("REDRAW_CHECKPOINTS", "gs://checkpoints")
    monkeypatch.setenv("REDRAW_WORK", "/work")
    monkeypatch.setenv("REDRAW_SERVERS", "grpc://models:8500")
    monkeypatch.setenv("REDRAW_ALLOWED_SERVERS", "grpc://staging:8500")

    with pytest.raises((InvalidRequest, InvalidName)):
        check_fields(_context(conf))
    check_fields(_context({"servers": "grpc://staging:8500, grpc://models:8500"}))
    check_fields(_context({"bucket": "gs://models/a", "warm_start": "1000-0123456789ab"}))
    check_fields(_context(None))


def default(param: Any) -> Any:
    """What a form has of a field that nobody filled in; None for nothing."""
    return param.resolve(suppress_exception=True)


def test_model_field_has_no_default_where_there_are_several(monkeypatch: pytest.MonkeyPatch) -> None:
    for form in FORMS:
        assert default(form()["model"]) is None
        with pytest.raises(ParamValidationError):
            form()["model"].resolve("No Model")
    assert default(retrain_form("mnist")["model"]) == "mnist"
    assert default(reexport_form("mnist")["model"]) == "mnist"
    # Only what a schedule may start can be without a model, and does nothing then.
    assert {form for form in FORMS if form()["model"].schema["type"] != "string"} == {reexport_form}
    # Airflow's form would show "null" for it.
    assert reexport_form()["model"].schema["values_display"]["null"] == "choose one"


@pytest.mark.parametrize("form", [roll_back_form, mark_form])
def test_forms_of_what_is_live_demand_a_reason(form: Any) -> None:
    with pytest.raises(ParamValidationError):
        form()["reason"].resolve()
    with pytest.raises(ParamValidationError):
        form()["reason"].resolve("  ")


def test_retrain_form_of_a_schedule_without_a_model_says_which_there_are() -> None:
    with pytest.raises(InvalidRequest, match="^schedule: expected a model for scheduled runs, one of"):
        retrain_form(scheduled=True)
    assert default(retrain_form("mnist", scheduled=True)["model"]) == "mnist"


@pytest.mark.parametrize("steps", [["1000", " 2000 "], [1000, 2000], [], None])
def test_reexport_form_takes_steps_as_lines_and_as_numbers(steps: Any) -> None:
    assert reexport_form()["steps"].resolve(steps) == steps


@pytest.mark.parametrize("steps", [["a"], ["1e3"], [""], ["-1"], [-1], [1.5], ["1,2"], ["1" * 19]])
def test_reexport_form_refuses_what_is_no_step(steps: Any) -> None:
    with pytest.raises(ParamValidationError):
        reexport_form()["steps"].resolve(steps)


@pytest.mark.parametrize(
    ("waivers", "message"),
    [
        ({"waive": ["warm-up"]}, "^waive: expected CHECK=REASON, got 'warm-up'"),
        ({"waive": ["warm-upp"], "waive_reason": "why"}, "^waive: expected the name of a check, one of"),
        ({"waive": ["no-check=why"]}, "^waive: expected the name of a check"),
    ],
)
def test_checks_of_wrong_waivers_refuse_them_at_once(waivers: dict[str, Any], message: str) -> None:
    for check in (check_retrain_choices, check_reexport_choices):
        with pytest.raises(InvalidRequest, match=message):
            check(cast(Any, {"params": {**CHOICES, "trained_from": None, "trained_to": None, **waivers}}))


def test_waive_field_lists_every_check() -> None:
    field = retrain_form()["waive"]

    assert {"warm-up", "file-configuration", "recorded-answers"} <= set(field.schema["examples"])
    assert field.resolve(["warm-up", "loads=a reason"]) == ["warm-up", "loads=a reason"]
