"""Arguments in every form that Airflow passes, to every operator."""

from __future__ import annotations

import datetime
import inspect
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pendulum
import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, BaseOperator

import redraw_airflow
from redraw.errors import InvalidRequest, RedrawError
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
from redraw_airflow.operators.reexport_summary import SummarizeReexportOperator
from redraw_airflow.operators.tracking import LogToMlflowOperator
from redraw_airflow.operators.training import (
    ApproveReexportOperator,
    ApproveReleaseOperator,
    CheckpointOperator,
    PlanReexportOperator,
    ReexportOperator,
    RollBackOperator,
    TrainOperator,
)
from redraw_airflow.rollout.operator import ConfirmRolloutOperator
from redraw_airflow.sensors import CheckpointSensor, LiveVersionSensor, NewVersionSensor
from redraw_airflow.vertex.operator import RegisterVertexModelOperator
from tests.redraw_airflow.operators.test_allowed import OPERATORS, RECORD

RUN = TrainingRun(model="mnist", uri="/runs/run", run="run", step=100)
EAST, WEST = (datetime.timezone(datetime.timedelta(hours=hours)) for hours in (1, -1))
# What templates, native rendering, XComs and slips give.
ODD: tuple[Any, ...] = (
    None,
    "",
    " ",
    "None",
    "x",
    "7",
    "7.5",
    "true",
    "False",
    "{",
    "[1",
    "{'a': 1}",
    "[]",
    "a\n=b",
    0,
    7,
    -1,
    7.5,
    float("nan"),
    True,
    [],
    [1],
    ["a"],
    [None],
    {},
    {"a": 1},
    {"record": "Nothing"},
    b"x",
    "none",
    "null",
    " None ",
    "\t\n",
    Decimal("7"),
    Decimal("NaN"),
    np.int64(7),
    np.float32(7.5),
    np.bool_(True),
    np.array([1, 2]),
    np.array(7),
    np.eye(2),
    (1, 2),
    range(2),
    bytearray(b"x"),
    RUN,
    10**400,
    -0.5,
    float("inf"),
    1e300,
    datetime.date(2026, 1, 1),
    datetime.timedelta(hours=1),
    pendulum.datetime(2026, 1, 1),
    pendulum.date(1, 1, 1),
    EmptyOperator(task_id="other").output,
    EmptyOperator(task_id="more").output["version"],
    Path("/runs/a"),
    object(),
    {1, 2},
    datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    "x" * 9000,
    "x" * 3_000_000,
)
ARGUMENTS: Mapping[Any, Mapping[str, Any]] = {
    **OPERATORS,
    ConfirmRolloutOperator: {"version": 1, "servers": ["grpc://127.0.0.1:1"]},
    LogToMlflowOperator: {},
    ApproveReleaseOperator: {"saved_model": RECORD, "report": RECORD},
    ApproveReexportOperator: {"plan": [RECORD]},
    SummarizeReexportOperator: {"planned_by": "plan", "done_by": "reexport"},
    RegisterVertexModelOperator: {"container_image": "a", "region": "b", "version": 1},
    CheckpointSensor: {},
    NewVersionSensor: {},
    LiveVersionSensor: {},
}


@pytest.fixture(autouse=True)
def configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REDRAW_MODEL_BUCKET", "gs://models")
    monkeypatch.setenv("REDRAW_CHECKPOINTS", "gs://checkpoints")
    monkeypatch.setenv("REDRAW_WORK", "/runs")


def test_every_public_operator_and_sensor_is_tried() -> None:
    public = (getattr(redraw_airflow, name) for name in redraw_airflow.__all__)
    assert {one for one in public if inspect.isclass(one) and issubclass(one, BaseOperator)} == set(ARGUMENTS)


@pytest.mark.parametrize("kind", ARGUMENTS, ids=lambda kind: kind.__name__)
def test_every_templated_argument_is_taken_by_a_kind(kind: Any) -> None:
    inherited = {"subject", "body", "options", "defaults", "params", "impersonation_chain"}
    assert set(kind.template_fields) - inherited <= set(kind.kinds)


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in ARGUMENTS for name in kind.kinds], ids=str
)
def test_any_value_of_an_argument_is_taken_or_refused_in_one_line(kind: Any, name: str) -> None:
    for value in ODD:
        operator = kind(task_id="a", **{"model": "mnist", **ARGUMENTS[kind]})
        operator.__dict__[name] = value  # to set it would make a dependency of an XComArg
        try:
            _take(operator)
        except RedrawError as err:
            said = str(err)
            assert "\n" not in said, said
            assert len(said) < 1000
            assert "expected" in said, said
            # A request has `training_run` under its own name.
            asked = said.partition(", got ")[0]
            assert any(re.search(rf"\b{one}\b", asked) for one in (*kind.kinds, "from")), said


def _take(operator: Any) -> None:
    """What `execute` does of its arguments, before it starts or reads anything."""
    context = cast(
        Any,
        {
            "ti": SimpleNamespace(dag_id="dag", run_id="one", task_id="task", map_index=-1, try_number=1),
            "dag_run": SimpleNamespace(
                triggering_user_name="ada",
                run_type=SimpleNamespace(value="manual"),
                partition_key="2026-01-31",
                data_interval_start=None,
                data_interval_end=None,
            ),
        },
    )
    if isinstance(operator, StageOperator):
        operator.stage_and_request()
        operator.take_allowed_arguments(context)
        folder = TaskFolder(operator.work_dir, operator.model, context["ti"])
        fields = operator.request_fields(folder)
        if isinstance(operator, PlanReexportOperator):
            fields |= operator.run_fields(context)
        operator.stage_and_request()[1].from_json({"model": operator.model, **fields})
    elif isinstance(operator, CheckpointSensor | NewVersionSensor):
        operator.take_allowed_arguments(context)
        json.dumps(operator._arguments(), allow_nan=False)
    elif isinstance(operator, RegisterVertexModelOperator):
        operator.take_allowed_arguments(context)
    else:
        operator.take_arguments()
        if isinstance(operator, ApproveReexportOperator | ApproveReleaseOperator):
            datetime.timedelta(hours=operator.wait_hours or 1)
            operator.describe()


@pytest.mark.parametrize("kind", [ConfirmRolloutOperator, CheckpointSensor], ids=lambda kind: kind.__name__)
def test_deferrable_as_text_is_read_and_another_value_is_refused(kind: Any) -> None:
    assert kind(task_id="a", model="mnist", deferrable="False").deferrable is False
    assert kind(task_id="b", model="mnist", deferrable="true").deferrable is True
    with pytest.raises(InvalidRequest, match="^deferrable: expected true or false, got PlainXComArg"):
        kind(task_id="c", model="mnist", deferrable=EmptyOperator(task_id="other").output)


def test_version_of_a_record_that_names_none_does_not_roll_back_to_the_one_before() -> None:
    operator = RollBackOperator(
        task_id="a", model="mnist", version=cast(Any, {"record": "LivePointer", "version": None})
    )
    with pytest.raises(
        InvalidRequest, match="^version: expected a version, or a record that names one, got dict"
    ):
        _take(operator)


def test_default_arguments_of_a_dag_reach_every_operator() -> None:
    default_args = {"model": "mnist", "gcp_conn_id": "models", "work_dir": "/runs/own"}
    with DAG("defaults", schedule=None, default_args=default_args):
        made = [TrainOperator(task_id="train"), CheckpointOperator(task_id="checkpoint")]

    assert {(one.model, one.gcp_conn_id, one.work_dir) for one in made} == {("mnist", "models", "/runs/own")}


def test_mapped_operator_has_airflow_s_own_defaults() -> None:
    with DAG("mapped", schedule=None):
        ours = ReexportOperator.partial(task_id="ours", model="mnist").expand(checkpoints=[["a"]])
        theirs = EmptyOperator.partial(task_id="theirs").expand(doc=["a"])

    # Only of what is ours, and of names.
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
        (text, 7.5, "7.5"),
        (text, np.int64(7), "7"),
        (text, "x" * 10_000, "x" * 10_000),
        (integer, np.int64(2024050200000001), 2024050200000001),
        (integer, Decimal("2024050200000001"), 2024050200000001),
        (number, np.float32(0.5), 0.5),
        (truth, np.bool_(False), False),
        (integers, np.array([1, 2]), [1, 2]),
        (number, Decimal("0.5"), 0.5),
        (arguments.seconds, datetime.timedelta(minutes=2), 120.0),
        (arguments.seconds, "90", 90.0),
        (arguments.time, pendulum.datetime(2026, 1, 31, tz="Europe/Berlin"), "2026-01-30T23:00:00Z"),
        (arguments.time, datetime.date(2026, 1, 31), "2026-01-31"),
        (arguments.time, "2026-01-31", "2026-01-31"),
        (arguments.time, datetime.datetime(2026, 1, 31, 1), "2026-01-31T01:00:00Z"),  # noqa: DTZ001
        (arguments.time, None, None),
        (arguments.version_number, {"record": "Release", "version": 7}, 7),
        (arguments.version_number, "{'version': 7}", 7),
        (arguments.version_number, "7", 7),
        (arguments.version_number, 7, 7),
        (arguments.version_number, None, None),
        (integer, "2024050200000001", 2024050200000001),
        (integer, 7.0, 7),
        (integer, "7.0", 7),
        (integer, "-2024050200000001", -2024050200000001),
        (integer, "1e3", 1000),
        (integer, 2**62 + 1, 2**62 + 1),
        (integer, "", None),
        (number, "7.5", 7.5),
        (truth, "True", True),
        (truth, "no", False),
        (truth, " YES ", True),
        (truth, "1", True),
        (truth, "0", False),
        (truth, "false", False),
        (truth, 1, True),
        (truth, 0, False),
        (truth, None, False),
        (record, RUN, RUN.to_json()),
        (record, str(RUN.to_json()), RUN.to_json()),
        (record, "gs://checkpoints/mnist/1-a", "gs://checkpoints/mnist/1-a"),
        (record, {}, None),
        (record, " {}", None),
        (record, " {'a': 1}", {"a": 1}),
        (record, 7, "7"),
        (records, "['gs://a/b', {'uri': 'x'}]", ["gs://a/b", {"uri": "x"}]),
        (records, " ['gs://a/b']", ["gs://a/b"]),
        (records, "gs://a/b", ["gs://a/b"]),
        (records, None, []),
        (records, iter([{"uri": "x"}, None]), [{"uri": "x"}]),
        (texts, None, []),
        (texts, "", []),
        (texts, " ['a=b']", ["a=b"]),
        (texts, ["a=b", " "], ["a=b"]),
        (texts, "a=b, c and d,e-f=g", ["a=b, c and d", "e-f=g"]),
        (texts, "a=b\n\n c=d\n", ["a=b", "c=d"]),
        (texts, "['a=b', 'c=d, e']", ["a=b", "c=d, e"]),
        (integers, "100, 200 300", [100, 200, 300]),
        (integers, "[1,2;\n3]", [1, 2, 3]),
        (integers, None, []),
        (integers, [1, "2"], [1, 2]),
        (integers, 5, [5]),
        (mapping, "{'image': 'a'}", {"image": "a"}),
        (mapping, {"image": "a"}, {"image": "a"}),
        (mapping, RUN, RUN.to_json()),
        (mapping, "", None),
    ],
)
def test_take_argument_gives_what_a_request_takes(kind: arguments.Kind, value: Any, taken: Any) -> None:
    assert kind("argument", value) == taken


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (text, ["a"], "expected a string of .*, got list"),
        (text, True, "expected a string of .*, got bool True"),
        (text, "x" * 10_001, "expected a string of at most 10000 characters, got str"),
        (arguments.time, datetime.datetime.min.replace(tzinfo=EAST), "expected a time such as"),
        (arguments.time, datetime.datetime.max.replace(tzinfo=WEST), "expected a time such as"),
        (arguments.seconds, "soon", "expected seconds, got str 'soon'"),
        (arguments.version_number, RUN, "expected a version, or a record that names one, got dict"),
        (integer, "many", "expected a whole number, got str 'many'"),
        (integer, 7.5, "expected a whole number, got float 7.5"),
        (integer, True, "expected a whole number, got bool"),
        (integer, 2**63, "expected a whole number, got int"),
        (integer, -(2**63), "expected a whole number, got int"),
        (integer, b"7", "expected a whole number, got bytes"),
        (number, "inf", "expected a number, got str 'inf'"),
        (number, float("-inf"), "expected a number, got float -inf"),
        (number, Decimal("Infinity"), "expected a number, got float inf"),
        (number, 10**400, "expected a number, got int"),
        (number, "nan", "expected a number, got str 'nan'"),
        (truth, "maybe", "expected true or false, got str 'maybe'"),
        (truth, 2, "expected true or false"),
        (truth, 1.0, "expected true or false, got float 1.0"),
        (record, "{'a': ", "expected a record as JSON, or a template of a task's XCom"),
        (record, 7.5, "expected a record, a path or a URI, got float"),
        (record, "{1, 2}", "expected a record, a path or a URI, got str '{1, 2}'"),
        (records, [["a"]], r"\[0\]: expected a record, a path or a URI, got list"),
        (texts, {"a": 1}, "expected a list of strings, got dict"),
        (integers, "1 two", r"\[1\]: expected a whole number, got str 'two'"),
        (mapping, [1], "expected a dict from names to values, got list"),
        (arguments.required(record), None, "expected a value, got none"),
        (arguments.required(records), [], "expected a value, got none"),
    ],
)
def test_take_argument_of_another_kind_names_it(kind: arguments.Kind, value: Any, said: str) -> None:
    with pytest.raises(RedrawError, match=f"^argument(\\[.\\])?.*{said}|^argument{said}"):
        kind("argument", value)


def test_record_as_text_has_two_mebibytes_at_most() -> None:
    longest = json.dumps({"a": "x" * ((2 << 20) - len('{"a": ""}'))})
    assert record("argument", longest) == json.loads(longest)
    with pytest.raises(InvalidRequest, match=r"expected a record as JSON.*\(2097153 characters\)"):
        record("argument", longest + " ")
