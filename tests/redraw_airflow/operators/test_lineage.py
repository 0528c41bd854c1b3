from __future__ import annotations

from typing import Any, cast

from redraw.records.reexport import ReexportedCheckpoint, ReexportReport
from redraw.uri import Uri
from redraw_airflow.operators.lineage import Traced, describe_lineage, trace_arguments, trace_record
from redraw_airflow.operators.training import PushModelOperator
from tests.redraw_airflow.deciding import CHECKPOINT, EXPORT, RELEASE, VERSION

READ = Traced(uri=Uri("gs://checkpoints/mnist/1000-abc"), version=CHECKPOINT.digest)


def test_trace_record_of_a_release_leads_from_its_checkpoint_to_its_version() -> None:
    written = Traced(uri=Uri(f"gs://models/team/mnist/{VERSION}"), version=str(VERSION))

    assert trace_record(RELEASE) == ([READ], [written])
    assert trace_record(EXPORT) == ([READ], [])
    assert trace_record(CHECKPOINT) == ([], [READ])
    assert trace_record(None) == ([], [])


def test_trace_record_of_a_batch_leaves_out_what_was_not_exported() -> None:
    rows = (
        ReexportedCheckpoint(uri="gs://cat/1", outcome="exported", seconds=1, step=1, version=11),
        ReexportedCheckpoint(uri="gs://cat/2", outcome="already there", seconds=1, step=2, version=22),
        ReexportedCheckpoint(uri="gs://cat/3", outcome="failed", seconds=1, reason="broken"),
    )
    report = ReexportReport(model="mnist", bucket="gs://models", checkpoints=rows, seconds=3)

    assert trace_record(report) == (
        [Traced(uri=Uri("gs://cat/1"), version="1")],
        [Traced(uri=Uri("gs://models/mnist/11"), version="11")],
    )


def test_trace_arguments_finds_records_and_passes_over_the_rest() -> None:
    given = ["mnist", None, EXPORT.to_json(), [CHECKPOINT.to_json(), "gs://cat/other"], {"a": 1}]

    assert trace_arguments(given) == [READ, READ]


def test_describe_lineage_names_datasets_by_where_they_lie() -> None:
    lineage = describe_lineage([READ, Traced(uri=Uri("/shared/mnist/1"), version="1")], [])

    assert [(one.namespace, one.name) for one in lineage.inputs] == [
        ("gs://checkpoints", "mnist/1000-abc"),
        ("file", "/shared/mnist/1"),
    ]
    assert lineage.inputs[0].facets["version"].datasetVersion == CHECKPOINT.digest


def test_lineage_of_a_push_that_failed_still_says_what_it_read() -> None:
    operator = PushModelOperator(task_id="push", model="mnist", saved_model=EXPORT.to_json(), report="r")

    lineage = operator.get_openlineage_facets_on_failure(cast(Any, None))

    assert [one.name for one in lineage.inputs] == ["mnist/1000-abc"]
    assert lineage.outputs == []
