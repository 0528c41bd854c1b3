"""Arguments in every form that Airflow passes, to every operator."""

from __future__ import annotations

import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from redraw.errors import RedrawError
from redraw.records import TrainingRun
from redraw_airflow.operators import arguments
from redraw_airflow.operators.arguments import (
    integer,
    integers,
    mapping,
    number,
    record,
    records,
    text,
    texts,
    truth,
)
from redraw_airflow.operators.base import StageOperator
from redraw_airflow.operators.inputs import TaskFolder
from redraw_airflow.operators.training import (
    ApproveReexportOperator,
    ApproveReleaseOperator,
    ReexportOperator,
)
from redraw_airflow.vertex.operator import RegisterVertexModelOperator
from tests.redraw_airflow.operators.test_allowed import OPERATORS

RUN = TrainingRun(model="mnist", uri="/work/run", run="run", step=100)
# What templates, native rendering, XComs and slips give.
ODD: tuple[Any, ...] = (
    *(None, "", " ", "None", "x", "7", "7.5", "true", "False", "{", "[1", "{'a': 1}", "[]", "a\n=b"),
    *(0, 7, -1, 7.5, float("nan"), True, [], [1], ["a"], [None], {}, {"a": 1}, {"record": "Nothing"}, b"x"),
    *(
        Path("/work/a"),
        object(),
        {1, 2},
        datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        "x" * 9000,
        "x" * 3_000_000,
    ),
)
ASKING = (ApproveReleaseOperator, ApproveReexportOperator, RegisterVertexModelOperator)


@pytest.fixture(autouse=True)
def configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REDRAW_MODEL_BUCKET", "gs://models")
    monkeypatch.setenv("REDRAW_CHECKPOINTS", "gs://checkpoints")
    monkeypatch.setenv("REDRAW_WORK", "/work")


@pytest.mark.parametrize("kind", [*OPERATORS, *ASKING], ids=lambda kind: kind.__name__)
def test_every_templated_argument_is_taken_by_a_kind(kind: type[StageOperator]) -> None:
    inherited = {"subject", "body", "options", "defaults", "params", "impersonation_chain"}
    assert set(kind.template_fields) - inherited == set(kind.kinds) - {"gcp_conn_id"} | (
        {"gcp_conn_id"} & set(kind.template_fields)
    )


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in OPERATORS for name in kind.template_fields], ids=str
)
def test_any_value_of_an_argument_is_taken_or_refused_in_one_line(
    kind: type[StageOperator], name: str
) -> None:
    context = cast(
        Any,
        {
            "ti": SimpleNamespace(dag_id="dag", run_id="one", task_id="task", map_index=-1, try_number=1),
            "dag_run": SimpleNamespace(triggering_user_name="ada"),
        },
    )
    for value in ODD:
        operator = kind(task_id="a", **{"model": "mnist", **OPERATORS[kind]})
        setattr(operator, name, value)
        try:
            operator.take_allowed_arguments(context)
            fields = operator.request_fields(TaskFolder("/work", operator.model, context["ti"]))
            operator.asked_stage()[1].from_json({"model": operator.model, **fields})
        except RedrawError as err:
            said = str(err)
            assert "\n" not in said, said
            assert len(said) < 1000
            assert "expected" in said, said


def test_mapped_operator_has_airflow_s_own_defaults() -> None:
    with DAG("mapped", schedule=None):
        ours = ReexportOperator.partial(task_id="ours", model="mnist").expand(checkpoints=[["a"]])
        theirs = EmptyOperator.partial(task_id="theirs").expand(doc=["a"])

    # Of what is ours alone, and of names.
    apart = {"model", "task_id"}
    assert {k: v for k, v in ours.partial_kwargs.items() if k not in apart} == {
        k: v for k, v in theirs.partial_kwargs.items() if k not in apart
    }


@pytest.mark.parametrize(
    ("kind", "value", "taken"),
    [
        (text, Path("/a"), "/a"),
        (text, 2024050200000000, "2024050200000000"),
        (text, " None ", None),
        (integer, "2024050200000001", 2024050200000001),
        (integer, 7.0, 7),
        (integer, "7.0", 7),
        (integer, "", None),
        (number, "7.5", 7.5),
        (truth, "True", True),
        (truth, "no", False),
        (truth, 1, True),
        (truth, None, False),
        (record, RUN, RUN.to_json()),
        (record, str(RUN.to_json()), RUN.to_json()),
        (record, "gs://checkpoints/mnist/1-a", "gs://checkpoints/mnist/1-a"),
        (record, {}, None),
        (records, "['gs://a/b', {'uri': 'x'}]", ["gs://a/b", {"uri": "x"}]),
        (records, "gs://a/b", ["gs://a/b"]),
        (records, iter([{"uri": "x"}, None]), [{"uri": "x"}]),
        (texts, None, []),
        (texts, ["a=b", " "], ["a=b"]),
        (texts, "a=b, c and d,e-f=g", ["a=b, c and d", "e-f=g"]),
        (texts, "a=b\n\n c=d\n", ["a=b", "c=d"]),
        (texts, "['a=b', 'c=d, e']", ["a=b", "c=d, e"]),
        (integers, "100, 200 300", [100, 200, 300]),
        (integers, [1, "2"], [1, 2]),
        (integers, 5, [5]),
        (mapping, "{'image': 'a'}", {"image": "a"}),
        (mapping, "", None),
    ],
)
def test_take_argument_gives_what_a_request_takes(kind: arguments.Kind, value: Any, taken: Any) -> None:
    assert kind("argument", value) == taken


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (text, ["a"], "expected a text of .*, got list"),
        (text, True, "expected a text of .*, got bool True"),
        (integer, "many", "expected a whole number, got str 'many'"),
        (integer, 7.5, "expected a whole number, got float 7.5"),
        (integer, True, "expected a whole number, got bool"),
        (number, "nan", "expected a number, got str 'nan'"),
        (truth, "maybe", "expected true or false, got str 'maybe'"),
        (truth, 2, "expected true or false"),
        (record, "{'a': ", "expected a record as JSON, or a template of a task's XCom"),
        (record, 7.5, "expected a record, a path or a URI, got float"),
        (records, [["a"]], r"\[0\]: expected a record, a path or a URI, got list"),
        (texts, {"a": 1}, "expected a list of texts, got dict"),
        (integers, "1 two", r"\[1\]: expected a whole number, got str 'two'"),
        (mapping, [1], "expected names with values, got list"),
        (arguments.required(record), None, "expected a value, got none"),
    ],
)
def test_take_argument_of_another_kind_names_it(kind: arguments.Kind, value: Any, said: str) -> None:
    with pytest.raises(RedrawError, match=f"^argument(\\[.\\])?.*{said}|^argument{said}"):
        kind("argument", value)
