from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from redraw.errors import InvalidName, InvalidRequest
from redraw_airflow.operators.allowed import (
    BUCKETS,
    CATALOGUES,
    WORK_FOLDERS,
    demand_allowed,
    demand_allowed_servers,
    split_servers,
)
from redraw_airflow.operators.base import StageOperator
from redraw_airflow.operators.training import (
    CheckpointOperator,
    CompareAnswersOperator,
    ExportSavedModelOperator,
    MarkVersionOperator,
    PlanReexportOperator,
    PruneOperator,
    PushModelOperator,
    ReexportOperator,
    RollBackOperator,
    SetLiveOperator,
    TrainOperator,
    ValidateSavedModelOperator,
)

ELSEWHERE = (
    "gs://other",
    "gs://models-2",
    "gs://models2/a",
    "gs://model",
    "gs://checkpoints",
    "/etc",
    "/runs",
    "models",
    "../models",
    "file:models",
)


@pytest.fixture(autouse=True)
def configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDRAW_MODEL_BUCKET", "gs://models")
    monkeypatch.setenv("REDRAW_CHECKPOINTS", "gs://checkpoints/")
    monkeypatch.setenv("REDRAW_WORK", "/runs")


@pytest.mark.parametrize("place", ELSEWHERE)
def test_demand_allowed_elsewhere_is_refused(place: str) -> None:
    with pytest.raises(
        InvalidRequest, match="^bucket: expected a path in gs://models, got .*ALLOWED_BUCKETS"
    ):
        demand_allowed("bucket", place, [BUCKETS])


@pytest.mark.parametrize("path", ["/runs/../etc/passwd", "/runs/..", "/runsshop", "//runs", "work", "/"])
def test_demand_allowed_path_that_leads_out_is_refused(path: str) -> None:
    with pytest.raises(InvalidRequest):
        demand_allowed("work_dir", path, [WORK_FOLDERS])


@pytest.mark.parametrize("uri", ["gs://models/../other", "gs://models//a", "s3://models", "gs://models/a\n"])
def test_demand_allowed_of_no_uri_is_refused(uri: str) -> None:
    with pytest.raises(InvalidName):
        demand_allowed("bucket", uri, [BUCKETS])


@pytest.mark.parametrize(
    "value",
    ["gs://models", "gs://models/", "gs://models/a/b", None, "", "None", {"uri": "x"}, ["gs://models/a"]],
)
def test_demand_allowed_within_or_nothing_passes(value: Any) -> None:
    demand_allowed("bucket", value, [BUCKETS])


def test_demand_allowed_of_a_list_looks_at_each() -> None:
    with pytest.raises(InvalidRequest, match="gs://other"):
        demand_allowed("checkpoints", ["gs://checkpoints/a", "gs://other/b"], [CATALOGUES])


@pytest.mark.parametrize(
    ("listed", "server", "allowed"),
    [
        ("", "serving:8500", True),
        ("", "other:8500", False),
        ("more:8501", "more:8501", True),
        ("more:8501", "serving:8500", True),
        ("more:8501", "more:8502", False),
        ("*", "anything:1", True),
    ],
)
def test_demand_allowed_servers_takes_those_of_the_deployment(
    listed: str, server: str, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDRAW_SERVERS", "serving:8500")
    monkeypatch.setenv("REDRAW_ALLOWED_SERVERS", listed)
    servers = split_servers(["serving:8500, ", f" ,{server}"])
    assert servers == ["serving:8500", server]
    if allowed:
        demand_allowed_servers(servers)
    else:
        with pytest.raises(InvalidRequest, match=f"^servers: .*REDRAW_ALLOWED_SERVERS, got {server!r}"):
            demand_allowed_servers(servers)


@pytest.mark.parametrize(
    ("listed", "place", "allowed"),
    [
        ("gs://staging/a, gs://bbb", "gs://staging/a/c", True),
        ("gs://staging/a, gs://bbb", "gs://staging", False),
        ("gs://staging/a", "gs://models/kept", True),
        ("*", "gs://anything", True),
    ],
)
def test_demand_allowed_takes_what_the_deployment_lists(
    listed: str, place: str, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDRAW_ALLOWED_BUCKETS", listed)

    if allowed:
        demand_allowed("bucket", place, [BUCKETS])
    else:
        with pytest.raises(InvalidRequest):
            demand_allowed("bucket", place, [BUCKETS])


def test_demand_allowed_where_nothing_is_configured_leaves_it_to_the_form(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("REDRAW_MODEL_BUCKET")

    demand_allowed("bucket", "gs://any", [BUCKETS])


RECORD = {"uri": "/runs/a"}
OPERATORS: dict[type[StageOperator], dict[str, Any]] = {
    TrainOperator: {},
    CheckpointOperator: {},
    CompareAnswersOperator: {"version": 1},
    ExportSavedModelOperator: {"checkpoint": RECORD},
    ValidateSavedModelOperator: {"saved_model": RECORD},
    PushModelOperator: {"saved_model": RECORD, "report": RECORD},
    SetLiveOperator: {"version": 1},
    RollBackOperator: {},
    MarkVersionOperator: {"version": 1, "mark": "pin"},
    PruneOperator: {},
    PlanReexportOperator: {},
    ReexportOperator: {"checkpoints": [RECORD]},
}
# What of an operator's templated arguments names no place of the deployment's: values, records, and what
# only a DAG's author decides, such as files of keys.
_NO_PLACES = {
    "model",
    "gcp_conn_id",
    "python",
    "launcher",
    "pod",
    "max_steps",
    "distribution",
    "choose",
    "metric",
    "step",
    "weights",
    "allow_non_finite",
    "allow_breaking",
    "waive",
    "approval",
    "make_live",
    "version",
    "signing_key",
    "public_key",
    "version_label",
    "allow_older",
    "allow_rejected",
    "reason",
    "mark",
    "signing_certificate",
    "waive_reason",
    "other",
    "slices",
    "tolerance",
    "keep",
    "keep_days",
    "apply",
    "steps",
    "trained_from",
    "trained_to",
    "batch_size",
    "batch_label",
}


@pytest.mark.parametrize("kind", OPERATORS, ids=lambda kind: kind.__name__)
def test_every_templated_argument_that_names_a_place_is_checked(kind: type[StageOperator]) -> None:
    assert set(kind.template_fields) - set(kind.places) - _NO_PLACES == set()
    assert set(kind.places) <= set(kind.template_fields)


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in OPERATORS for name in sorted(kind.places)], ids=str
)
def test_argument_of_a_run_elsewhere_is_refused_and_the_author_s_own_is_not(
    kind: type[StageOperator], name: str
) -> None:
    listed = name == "checkpoints"
    values: Any = {"params": {"place": "gs://other/a"}, "ti": SimpleNamespace(map_index=-1)}
    of_run = kind(
        task_id="a", **{"model": "mnist", **OPERATORS[kind], name: _wrapped("{{ params.place }}", listed)}
    )
    of_author = kind(
        task_id="b", **{"model": "mnist", **OPERATORS[kind], name: _wrapped("gs://other/a", listed)}
    )

    for operator in (of_run, of_author):
        operator.render_template_fields(cast(Any, values))

    with pytest.raises(InvalidRequest, match=f"^{name}: expected a path in "):
        of_run.take_allowed_arguments(cast(Any, values))
    of_author.take_allowed_arguments(cast(Any, values))
    # As in a mapped task group.
    of_author.take_allowed_arguments(cast(Any, {"ti": SimpleNamespace(map_index=0)}))


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in OPERATORS for name in sorted(kind.places)], ids=str
)
def test_argument_of_a_mapped_operator_elsewhere_is_refused(kind: type[StageOperator], name: str) -> None:
    value = _wrapped("gs://other/a", name == "checkpoints")
    operator = kind(task_id="a", **{"model": "mnist", **OPERATORS[kind], name: value})

    # Airflow renders a mapped operator's arguments by another way: there each place counts as the run's.
    with pytest.raises(InvalidRequest, match=f"^{name}: expected a path in "):
        operator.take_allowed_arguments(cast(Any, {"ti": SimpleNamespace(map_index=0)}))


def test_places_that_come_as_a_sequence_of_mapped_tasks_are_each_looked_at() -> None:
    class Lazy(Sequence[str]):
        def __getitem__(self, index: Any) -> Any:
            return ["gs://checkpoints/a", "gs://other/b"][index]

        def __len__(self) -> int:
            return 2

    operator = ReexportOperator(task_id="a", model="mnist", checkpoints=Lazy())
    with pytest.raises(InvalidRequest, match="^checkpoints: expected a path in .*, got 'gs://other/b'"):
        operator.take_allowed_arguments(cast(Any, {"ti": SimpleNamespace(map_index=0)}))


def test_path_that_the_author_wrote_is_the_author_s() -> None:
    values: Any = {"ti": SimpleNamespace(map_index=-1)}
    operator = ExportSavedModelOperator(task_id="a", model="mnist", checkpoint=Path("/elsewhere/a"))
    operator.render_template_fields(values)

    operator.take_allowed_arguments(values)

    assert operator.checkpoint == "/elsewhere/a"


@pytest.mark.parametrize("template", ["{{ params.record }}", "{{ params.record | tojson }}"])
@pytest.mark.parametrize("place", ["/etc/a", "/runs/a", "gs://checkpoints/mnist/1-a"])
def test_record_that_comes_as_text_is_checked_for_where_it_says_it_lies(template: str, place: str) -> None:
    record = {"record": "ExportedModel", "uri": "/runs/b", "checkpoint": {"uri": place}}
    values: Any = {"params": {"record": record}, "ti": SimpleNamespace(map_index=-1)}
    operator = ValidateSavedModelOperator(task_id="a", model="mnist", saved_model=template)
    operator.render_template_fields(values)

    if place != "/etc/a":
        operator.take_allowed_arguments(values)
        assert operator.saved_model == record
    else:
        with pytest.raises(InvalidRequest, match="^saved_model: expected a path in .*, got '/etc/a'"):
            operator.take_allowed_arguments(values)


@pytest.mark.parametrize(
    ("path", "taken"), [("exports/a", "/runs/exports/a"), ("../etc", None), ("100-a0", "100-a0")]
)
def test_relative_path_is_one_below_the_work_folder(path: str, taken: str | None) -> None:
    values: Any = {"params": {"place": path}, "ti": SimpleNamespace(map_index=-1)}
    operator = ExportSavedModelOperator(task_id="a", model="mnist", checkpoint="{{ params.place }}")
    operator.render_template_fields(values)

    if taken:
        operator.take_allowed_arguments(values)
        assert operator.checkpoint == taken
    else:
        with pytest.raises(InvalidRequest, match="^checkpoint: expected a path in"):
            operator.take_allowed_arguments(values)


def _wrapped(text: str, listed: bool) -> Any:
    return [text] if listed else text
