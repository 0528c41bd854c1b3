"""What every stage's operator does around its stage: a program prints what the stage would."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.sdk import DAG, Asset
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, DownstreamTasksSkipped
from airflow.sdk.execution_time.context import OutletEventAccessors
from airflow.sdk.observability.stats import Stats

from redraw.records import LivePointer, Record
from redraw.records.events import ModelEvent
from redraw.records.reexport import ReexportedCheckpoint, ReexportReport
from redraw.records.results import CheckpointList
from redraw.uri import Uri
from redraw_airflow.operators.approving import ApproveReleaseOperator
from redraw_airflow.operators.assets import CHANGES, model_asset
from redraw_airflow.operators.base import StageOperator
from redraw_airflow.operators.training import (
    PlanReexportOperator,
    PushModelOperator,
    ReexportOperator,
    SetLiveOperator,
    TrainOperator,
    ValidateSavedModelOperator,
)
from redraw_airflow.stages.pod import StagePod
from tests.redraw_airflow.deciding import CHECKPOINT, EXPORT, RELEASE, REPORT, VERSION

SOURCE = Uri("gs://models/team/mnist")
EVENT = ModelEvent(
    kind="live", source=SOURCE, version=VERSION, at="2026-02-01T00:00:00Z", by="ada"
).identified()
POINTER = LivePointer(model="mnist", version=VERSION, previous=None, events=(EVENT,))


class TaskInstance(SimpleNamespace):
    """Takes XComs."""

    def xcom_push(self, *, key: str, value: Any) -> None:
        self.pushed[key] = value


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("REDRAW_WORK", "gs://work")
    monkeypatch.setenv("REDRAW_MODEL_BUCKET", "gs://models")
    monkeypatch.setenv("REDRAW_CHECKPOINTS", "gs://checkpoints")
    ti = TaskInstance(dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1, pushed={})
    run = SimpleNamespace(
        triggering_user_name="ada",
        run_type=SimpleNamespace(value="manual"),
        **dict.fromkeys(("data_interval_start", "data_interval_end", "partition_key")),
    )
    return {"ti": ti, "dag_run": run, "outlet_events": OutletEventAccessors()}


@pytest.fixture
def prints(program: Callable[[str], str]) -> Callable[..., str]:
    """An interpreter whose stage prints a record, and ends by an error if one is given."""

    def write(record: Record, error: str = "") -> str:
        return program(
            f"""
            print({json.dumps(record.to_json())!r})
            sys.exit({f"error {error}"!r} if {error!r} else 0)
            """
        )

    return write


def execute(operator: StageOperator, context: dict[str, Any]) -> Any:
    return operator.execute(cast(Any, context))


def test_stage_that_changes_a_model_updates_the_model_s_asset(
    context: dict[str, Any], prints: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, Any]] = []
    monkeypatch.setattr(Stats, "timing", lambda name, *_, tags: sent.append((name, tags)))
    operator = SetLiveOperator(task_id="t", model="mnist", version=VERSION, python=prints(POINTER))

    assert execute(operator, context) == POINTER.to_json()

    assert CHANGES in operator.outlets
    (event,) = context["outlet_events"][CHANGES].asset_alias_events
    assert event.dest_asset_key.uri == model_asset("gs://models/team/", "mnist").uri == SOURCE
    assert event.extra == {**EVENT.data, "at": EVENT.at, "id": EVENT.id, "undelivered": []}
    assert sent == [("redraw.live.duration", {"model": "mnist"})]


def test_asset_that_is_not_updated_fails_no_change_that_is_made(
    context: dict[str, Any], prints: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    operator = SetLiveOperator(task_id="t", model="mnist", version=VERSION, python=prints(POINTER))

    assert execute(operator, {**context, "outlet_events": {}})["version"] == VERSION

    assert "the asset gs://models/team/mnist is not updated: KeyError" in caplog.text


def test_push_says_on_its_own_assets_what_was_pushed_and_in_lineage_what_was_read(
    context: dict[str, Any], prints: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(Stats, "gauge", lambda *gauge, **more: sent.append((*gauge, more)))
    asset = Asset("mine")
    operator = PushModelOperator(
        task_id="t",
        model="mnist",
        saved_model=EXPORT.to_json(),
        report="gs://work/r.json",
        python=prints(RELEASE),
        outlets=[asset],
    )

    execute(operator, context)

    said = context["outlet_events"][asset].extra
    assert said == {
        **{name: RELEASE.to_json()[name] for name in ("model", "version", "uri", "digest")},
        "metrics": CHECKPOINT.metrics,
    }
    assert sent == [("redraw.push.bytes", RELEASE.size_bytes, {"tags": {"model": "mnist"}})]
    for lineage in (
        operator.get_openlineage_facets_on_complete(cast(Any, None)),
        operator.get_openlineage_facets_on_failure(cast(Any, None)),
    ):
        assert [one.name for one in (*lineage.inputs, *lineage.outputs)] == [
            "mnist/1000-abc",
            f"team/mnist/{VERSION}",
        ]


def test_stage_that_reports_and_fails_leaves_its_report(
    context: dict[str, Any], prints: Callable[..., str]
) -> None:
    row = ReexportedCheckpoint(uri="gs://c/1", outcome="failed", seconds=1.0, reason="broken")
    report = ReexportReport(model="mnist", bucket="gs://models", checkpoints=(row,), seconds=1.0)
    operator = ReexportOperator(
        task_id="t",
        model="mnist",
        checkpoints=["gs://checkpoints/mnist/1-ab"],
        waive="loads",
        waive_reason="no room",
        weights="default",
        python=prints(report, "[CheckpointsFailed]: 1 of 1 checkpoints failed"),
    )

    with pytest.raises(AirflowFailException, match="1 of 1 checkpoints failed"):
        execute(operator, context)

    assert context["ti"].pushed["report"] == report.to_json()
    assert context["ti"].pushed["failure"]["error"] == "CheckpointsFailed"
    asked = operator.request_fields(cast(Any, SimpleNamespace(for_this_try=lambda: "gs://work/out")))
    assert asked == {
        "checkpoints": ["gs://checkpoints/mnist/1-ab"],
        "bucket": "gs://models",
        "out": "gs://work/out",
        "weights": None,
        "waive": ["loads=no room"],
    }


def plan(context: dict[str, Any], python: str, **arguments: Any) -> Any:
    operator = PlanReexportOperator(
        task_id="t", model="mnist", trained_from="2026-01-01", python=python, **arguments
    )
    return execute(operator, context)


def test_plan_lists_the_checkpoints_in_batches_the_oldest_first(
    context: dict[str, Any], prints: Callable[..., str]
) -> None:
    newest_first = [
        replace(CHECKPOINT, step=step, trained_at=f"2026-01-0{step}T00:00:00Z") for step in (3, 2, 1)
    ]
    python = prints(CheckpointList(model="mnist", checkpoints=tuple(newest_first)))

    batches = plan(context, python, batch_size="2")

    assert [[one["step"] for one in batch["checkpoints"]] for batch in batches] == [[1, 2], [3]]
    assert [batch["batch_label"] for batch in batches] == [
        "steps 1 to 2, trained 2026-01-01 to 2026-01-02",
        "step 3, trained 2026-01-03",
    ]
    assert context["ti"].pushed["plan"] == batches
    assert len(plan(context, python, batch_size="")) == 1
    with pytest.raises(AirflowFailException, match="^batch_size: expected 1 or more, got 0"):
        plan(context, python, batch_size=0)
    assert len(plan(context, python, batch_size=1)) == 3


def test_plan_of_steps_that_the_catalogue_lacks_fails_if_a_person_named_them(
    context: dict[str, Any], prints: Callable[..., str]
) -> None:
    python = prints(CheckpointList(model="mnist", checkpoints=(CHECKPOINT,)))

    with pytest.raises(
        AirflowFailException, match="^steps: expected steps of the catalogue, got 7, for which"
    ):
        plan(context, python, steps=[1000, 7])
    assert context["ti"].pushed["failure"]["error"] == "CheckpointNotFound"
    assert len(plan(context, python, steps=[1000])) == 1
    context["dag_run"].run_type.value, context["dag_run"].partition_key = "scheduled", "2026-01-31"
    assert len(plan(context, python, steps=[7])) == 1


def test_plan_without_a_checkpoint_skips_what_comes_after(
    context: dict[str, Any], prints: Callable[..., str]
) -> None:
    with pytest.raises(AirflowSkipException, match="No checkpoint of mnist"):
        plan(context, prints(CheckpointList(model="mnist", checkpoints=())))
    assert context["ti"].pushed == {"plan": []}


@pytest.mark.parametrize(("choice", "skipped"), [("default", ["approve"]), ("no", ["approve"]), ("yes", [])])
def test_validation_leaves_out_the_approval_that_nobody_asks_for(
    choice: str, skipped: Sequence[str], context: dict[str, Any], prints: Callable[..., str]
) -> None:
    validate = ValidateSavedModelOperator(
        task_id="t", model="mnist", saved_model="gs://work/export", approval=choice, python=prints(REPORT)
    )
    approve = ApproveReleaseOperator(task_id="approve", model="mnist", saved_model="s", report={})
    other = TrainOperator(task_id="other", model="mnist")
    DAG("d", schedule=None).add_task(validate)
    validate >> [approve, other]

    if skipped:
        with pytest.raises(DownstreamTasksSkipped) as raised:
            execute(validate, context)
        assert list(raised.value.tasks) == skipped
        assert context["ti"].pushed["return_value"] == REPORT.to_json()
    else:
        assert execute(validate, context) == REPORT.to_json()
        assert "return_value" not in context["ti"].pushed


@pytest.mark.parametrize("event", [None, {"status": "success"}])
def test_stage_in_a_pod_returns_the_record_that_the_pod_leaves(
    event: Mapping[str, Any] | None, context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def end(pod: StagePod, *arguments: Any) -> None:
        seen.append((pod, *arguments[1:]))
        pod._printed = POINTER.to_json()

    monkeypatch.setattr(StagePod, "execute_sync" if event is None else "trigger_reentry", end)
    operator = SetLiveOperator(
        task_id="t",
        model="mnist",
        version=VERSION,
        launcher="kubernetes",
        pod={"image": "image:1", "in_cluster": False},
    )

    if event is None:
        returned = execute(operator, context)
    else:
        returned = operator.trigger_reentry(cast(Any, context), event)

    assert returned["version"] == VERSION
    ((pod, *heard),) = seen
    assert heard == ([] if event is None else [event])
    assert (pod.image, pod.arguments) == ("image:1", ["live"])
    variables = {one.name: one.value for one in pod.env_vars}
    assert json.loads(variables["REDRAW_REQUEST"])["set"] == VERSION
    deleted: list[StagePod] = []
    monkeypatch.setattr(StagePod, "on_kill", lambda pod: deleted.append(pod))
    operator.on_kill()
    assert deleted == [pod]
