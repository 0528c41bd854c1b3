from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.providers.standard.operators import hitl
from airflow.sdk import exceptions
from airflow.sdk.exceptions import AirflowFailException
from airflow.utils.types import DagRunType

from redraw.errors import InvalidRequest
from redraw_airflow.operators.approval import (
    approval_required,
    demand_approval,
    describe_batch,
    describe_release,
)
from redraw_airflow.operators.training import (
    ApproveReexportOperator,
    ApproveReleaseOperator,
    PushModelOperator,
    ReexportOperator,
)
from tests.redraw_airflow.deciding import CHECKPOINT, EXPORT, REPORT

# An Airflow before 3.3 defers the task to its triggerer.
_WAITS = (getattr(exceptions, "TaskAwaitingInput", exceptions.TaskDeferred), exceptions.TaskDeferred)
DEFINITION = '"""A model."""\nclass Model:\n    {attribute}: bool = {value}\n'


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models: `asking` waits for a person, `two` for another one than who started it, `plain` for none."""
    package = tmp_path / "asked_models"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "asking.py").write_text(DEFINITION.format(attribute="approval", value=True))
    (package / "two.py").write_text(DEFINITION.format(attribute="approval_by_another", value=True))
    (package / "plain.py").write_text(DEFINITION.format(attribute="approval", value=False))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("REDRAW_MODELS", "asked_models")


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("choice", "model", "wanted"),
    [
        ("default", "asking", True),
        ("default", "two", True),
        ("default", "plain", False),
        ("yes", "plain", True),
        ("yes", "asking", True),
        ("no", "plain", False),
    ],
)
def test_approval_required_by_form_or_definition(choice: str, model: str, wanted: bool) -> None:
    assert approval_required(choice, model) is wanted


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("model", ["asking", "two"])
def test_approval_that_the_definition_asks_for_no_run_leaves_out(model: str) -> None:
    with pytest.raises(InvalidRequest, match=f"the definition of {model} requires approval, got 'no'"):
        approval_required("no", model)


def test_approval_required_by_another_word_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="expected one of default, yes, no, got 'perhaps'"):
        approval_required("perhaps", "mnist")


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("model", "approved_by", "requester", "message"),
    [
        ("asking", None, "ada", "expected the approval of a person, .* got none"),
        ("asking", "", None, "got none"),
        ("two", None, None, "got none"),
        ("two", "ada", "ada", "expected a person other than 'ada'"),
    ],
)
def test_publication_without_the_approval_of_the_definition_is_refused(
    model: str, approved_by: str | None, requester: str | None, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        demand_approval(model, approved_by, requester)


@pytest.mark.usefixtures("models")
def test_publication_with_the_approval_of_the_definition_goes_on() -> None:
    demand_approval("asking", "ada", "ada")
    demand_approval("two", "bob", "ada")
    demand_approval("two", "ada", None)
    demand_approval("plain", None, "ada")


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("operator", [PushModelOperator, ReexportOperator], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("run_type", [DagRunType.MANUAL, DagRunType.SCHEDULED, DagRunType.BACKFILL_JOB])
def test_publishing_operator_demands_the_approval_in_every_kind_of_run(
    operator: Any, run_type: DagRunType
) -> None:
    run = SimpleNamespace(run_type=run_type, triggering_user_name="ada")
    context = cast(Any, {"dag_run": run, "ti": SimpleNamespace(dag_id="d", run_id="r", try_number=1)})
    records = {"saved_model": {}, "report": {}} if operator is PushModelOperator else {"checkpoints": [{}]}

    def asked(**approval: Any) -> dict[str, Any]:
        found: dict[str, Any] = operator(task_id="a", model="two", **records, **approval).run_fields(context)
        return found

    for approval in (None, {"approved_by": None}, {"approved_by": "ada"}):
        with pytest.raises(InvalidRequest, match="^approval: "):
            asked(approval=approval)
    assert asked(approval={"approved_by": "bob"})["by"] == "ada"


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    "user", [{"id": "1", "name": "ada"}, {"id": "ada", "name": "Ada L."}, {"id": "ada", "name": None}]
)
def test_answer_of_the_requester_where_another_has_to_fails_the_task(user: dict[str, Any]) -> None:
    operator = ApproveReexportOperator(task_id="approve", model="two", plan=[])
    context = cast(Any, {"dag_run": SimpleNamespace(triggering_user_name="ada")})
    event = {"chosen_options": [operator.APPROVE], "responded_by_user": user, "params_input": {}}

    with pytest.raises(AirflowFailException, match="expected a person other than 'ada'"):
        operator.execute_complete(context, event)


class TaskInstance(SimpleNamespace):
    """Takes XComs."""

    def xcom_push(self, *, key: str, value: Any) -> None:
        self.pushed[key] = value


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Of a run that `ada` started; what people are asked is kept under `asked`."""
    monkeypatch.setenv("REDRAW_MODEL_BUCKET", "gs://models")
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/")
    asked: dict[str, Any] = {}
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **more: asked.update(more))
    ti = TaskInstance(dag_id="a dag", run_id="manual__1+0", id="7", map_index=-1, pushed={})
    run = SimpleNamespace(triggering_user_name="ada")
    return {"ti": ti, "task_instance": ti, "dag_run": run, "asked": asked}


def ask(operator: Any, context: dict[str, Any]) -> dict[str, Any]:
    """What an operator asks, by when, before it waits."""
    with pytest.raises(_WAITS):
        operator.execute(context)
    return {**context["asked"], "timeout": operator.response_timeout}


@pytest.mark.parametrize(("given", "hours"), [("1.5", 1.5), ("", 24)])
def test_request_shows_the_release_and_leads_to_its_report(
    given: str, hours: float, context: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDRAW_WORK", str(tmp_path))
    (tmp_path / "export.json").write_text(json.dumps(EXPORT.to_json()))
    arguments: dict[str, Any] = {"model": "mnist", "report": REPORT.to_json(), "wait_hours": given}

    for saved_model in (EXPORT.to_json(), str(tmp_path / "export")):
        operator = ApproveReleaseOperator(task_id="a", saved_model=saved_model, make_live="yes", **arguments)
        asked = ask(operator, context)

        described = describe_release(EXPORT, REPORT, "gs://models", make_live=True)
        link = "https://airflow.example/dags/a%20dag/runs/manual__1%2B0/plugin/redraw"
        assert (asked["subject"], asked["options"]) == (described.subject, ["Approve", "Reject"])
        assert asked["body"] == f"{described.body}\n\n[Full report, with the picture of the graphs]({link})"
        assert (asked["defaults"], asked["timeout"]) == (["Reject"], timedelta(hours=hours))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"wait_hours": 0}, "^wait_hours: expected more than 0 and at most 8784, got 0"),
        ({"wait_hours": 8785}, "^wait_hours: expected more than 0"),
        ({"report": EXPORT.to_json()}, "^report: expected a ValidationReport record, got 'ExportedModel'"),
        ({"saved_model": REPORT.to_json()}, "^saved_model: expected a ExportedModel record|^saved_model: .*"),
        ({"saved_model": "/elsewhere/export"}, "^saved_model: expected a path in /work"),
        (
            {"saved_model": "/work/none"},
            "^saved_model: /work/none.json: expected the record that the export task",
        ),
    ],
)
def test_request_for_what_cannot_be_read_fails_and_names_the_argument(
    arguments: dict[str, Any], message: str, context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDRAW_WORK", "/work")
    given = {"saved_model": EXPORT.to_json(), "report": REPORT.to_json(), **arguments}
    operator = ApproveReleaseOperator(task_id="a", model="mnist", **given)

    with pytest.raises(AirflowFailException, match=message):
        operator.execute(cast(Any, context))
    assert context["ti"].pushed["failure"]["stage"] == "approve"
    assert context["asked"] == {}


@pytest.mark.usefixtures("models")
def test_request_for_a_batch_is_made_if_the_definition_asks_for_it(context: dict[str, Any]) -> None:
    batches = [{"checkpoints": [CHECKPOINT.to_json()]}, {"checkpoints": [CHECKPOINT.to_json()]}]

    def approve(model: str, plan: list[Any]) -> ApproveReexportOperator:
        return ApproveReexportOperator(task_id="a", model=model, plan=plan, wait_hours=8784)

    assert approve("plain", batches).execute(cast(Any, context)) == {"approved_by": None}
    assert context["asked"] == {}
    asked = ask(approve("asking", batches), context)
    assert (asked["subject"], asked["timeout"]) == ("Publish 2 checkpoints of asking?", timedelta(days=366))
    with pytest.raises(AirflowFailException, match="^plan: expected the output of a PlanReexportOperator"):
        approve("asking", [{"checkpoints": 5}]).execute(cast(Any, context))


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("user", "chosen", "said"),
    [
        ({"id": "2", "name": "bob"}, "Approve", ""),
        ({"id": "bob", "name": None}, "Approve", ""),
        ({"id": "2", "name": "bob"}, "Reject", "two is not published: bob rejected the request."),
        (None, "Reject", "two is not published: nobody answered the request within 24 hours."),
    ],
)
def test_answer_says_who_approved_and_the_log_who_did_not(
    user: Any, chosen: str, said: str, context: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    operator = ApproveReexportOperator(task_id="approve", model="two", plan=[])
    at = datetime(2026, 1, 1, tzinfo=UTC)
    event = {
        "chosen_options": [chosen],
        "responded_by_user": user,
        "params_input": {},
        "responded_at": at,
    }

    answer = operator.execute_complete(cast(Any, context), event)

    assert answer == {"approved_by": "bob" if user else None, "approved_at": at.isoformat()}
    logged = capsys.readouterr().out
    assert said in logged
    assert ("is not published" in logged) is bool(said)


def test_describe_batch_lists_each_checkpoint_and_asks_once() -> None:
    rows = [{"step": step, "trained_at": "2026|", "uri": f"gs://c/{step}"} for step in range(102)]

    asked = describe_batch("mnist", "gs://models", rows)

    assert asked.subject == "Publish 102 checkpoints of mnist?"
    assert "| 7 | 2026\\| | gs://c/7 |" in asked.body.splitlines()
    assert "And 2 more" in asked.body
    assert describe_batch("mnist", "gs://models", rows[:1]).subject == "Publish 1 checkpoint of mnist?"


def test_describe_release_begins_with_what_changes_and_lists_exceptions_before_what_passed() -> None:
    asked = describe_release(EXPORT, REPORT, "gs://models", make_live=True)

    assert asked.subject == "Publish mnist, step 1000?"
    lines = asked.body.splitlines()
    assert "| Live now | 2025120100000000 |" in lines
    assert "| Compared with the live version | accuracy 0.97, better by 0.01 (0.96 live) |" in lines
    assert "| Metrics of the checkpoint | accuracy 0.9712 |" in lines
    assert "| Size | 2.5 MB |" in lines
    assert "**1 of 2 checks passed.**" in lines
    assert lines[-3:] == [
        "- **warm-up** not run: no GPU; waived: tried by hand",
        "",
        "Passed: live-metrics",
    ]
    assert [line.split(" | ")[0] for line in lines[2:5]] == [
        "| Live now",
        "| Compared with the live version",
        "| Changed answers",
    ]


def test_describe_release_tells_which_answers_change() -> None:
    found = "digit of 'serving_default': 147 of 210 rows changed, by 8 at most"
    check = replace(REPORT.checks[0], name="live-answers", found=found)

    body = describe_release(EXPORT, replace(REPORT, checks=(check,)), "gs://models", make_live=True).body

    said = found.replace("_", r"\_")
    assert f"| Changed answers | {said} |" in body.splitlines()
    assert (
        "| Changed answers | not compared |"
        in describe_release(EXPORT, REPORT, "gs://models", make_live=True).body.splitlines()
    )


def test_describe_release_with_hostile_texts_draws_and_links_nothing() -> None:
    hostile = "a|b](javascript:x)\n# <img src=x> `code` **bold**"
    checks = (replace(REPORT.checks[0], found=hostile), replace(REPORT.checks[1], found=hostile, waived=""))

    body = describe_release(EXPORT, replace(REPORT, checks=checks), "gs://models", make_live=False).body

    quoted = r"a\|b\](javascript:x) \# \<img src=x\> \`code\` \*\*bold\*\*"
    assert f"| Compared with the live version | {quoted} |" in body.splitlines()
    assert f"- **warm-up** not run: {quoted}" in body.splitlines()


def test_describe_release_says_once_why_a_check_was_not_run() -> None:
    check = replace(
        REPORT.checks[1], found="not run: there is no live version", waived="there is no live version"
    )

    body = describe_release(EXPORT, replace(REPORT, checks=(check,)), "gs://models", make_live=True).body

    assert "- **warm-up** not run, waived: there is no live version" in body.splitlines()


@pytest.mark.parametrize(
    ("size", "text"),
    [(500, "0.5 kB"), (1_000, "1 kB"), (1_000_000, "1 MB"), (999_000, "999 kB"), (1_000_000_000, "1 GB")],
)
def test_describe_release_has_the_size_in_a_unit_that_suits_it(size: int, text: str) -> None:
    body = describe_release(
        replace(EXPORT, size_bytes=size), REPORT, "gs://models", make_live=False
    ).body.splitlines()

    assert f"| Size | {text} |" in body


@pytest.mark.parametrize(
    ("make_live", "effect"), [(True, "this version becomes live, unless"), (False, "nothing")]
)
def test_describe_release_says_what_becomes_live_if_it_is_approved(make_live: bool, effect: str) -> None:
    body = describe_release(EXPORT, REPORT, "gs://models", make_live=make_live).body

    assert f"| If you approve | {effect}" in body


def test_describe_release_without_a_live_version_or_metrics_says_so() -> None:
    export = replace(EXPORT, checkpoint=replace(CHECKPOINT, metrics={}))
    report = replace(REPORT, against=None, allow_breaking="the client is gone")

    lines = describe_release(export, report, "gs://models", make_live=True).body.splitlines()

    assert "| Live now | no version |" in lines
    assert "| Metrics of the checkpoint | none measured |" in lines
    assert "A breaking change of signatures was allowed: the client is gone" in lines


def test_describe_batch_of_as_many_as_a_person_reads_leaves_none_out() -> None:
    rows = [{"step": step, "trained_at": "2026", "uri": f"gs://c/{step}"} for step in range(100)]

    body = describe_batch("mnist", "gs://models", rows).body

    assert body.splitlines()[-1] == "| 99 | 2026 | gs://c/99 |"
