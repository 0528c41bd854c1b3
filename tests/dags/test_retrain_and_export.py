from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from redraw.export.export import export_model
from redraw.requests import ExportRequest
from tests.paths import ROOT

Python = Callable[..., Any]

EXPENSIVE = ("tensorflow", "keras", "google", "numpy", "mlxtend", "airflow.providers.google")


@pytest.fixture
def parsed(run_interpreter: Callable[..., Any], tmp_path: Path) -> Any:
    """What an interpreter finds that has not imported anything yet."""
    buckets = {"REDRAW_MODEL_BUCKET": "gs://models", "REDRAW_CHECKPOINTS": "/catalogue"}
    return run_interpreter(tmp_path / "answer.json", "parse_dags", **buckets)


def test_parse_dag_folder_has_no_errors_and_no_dear_imports(parsed: Any) -> None:
    assert parsed["import_errors"] == {}
    assert "redraw_airflow.operators.training" in parsed["loaded"]
    expensive = tuple(f"{name}." for name in EXPENSIVE)
    assert [name for name in parsed["loaded"] if name in EXPENSIVE or name.startswith(expensive)] == []

    scheduled = parsed["dags"]["retrain_mnist"]
    assert scheduled["timetable"]["__var"]["expression"] == "0 3 * * MON"
    assert dict(scheduled["params"])["model"]["default"] == "mnist"
    dag = parsed["dags"]["retrain_and_export"]
    assert dag["catchup"] is False
    assert dag["max_active_runs"] == 1
    assert "train ─► checkpoint ─► export ─► validate ─► approve ─► push ─► confirm_rollout" in dag["doc_md"]
    assert {"redraw", "training", "publication"} == set(dag["tags"])

    form = {name: param["schema"]["__var"] | {"default": param["default"]} for name, param in dag["params"]}
    assert form["model"]["enum"] == ["digits_graph", "mnist", "recommender", "text_classifier"]
    assert form["model"]["values_display"]["__var"]["mnist"].startswith("mnist: Handwritten digits")
    assert (form["bucket"]["default"], form["catalogue"]["default"]) == ("gs://models", "/catalogue")
    assert form["model"]["default"] == {"__var": None, "__type": "arg_not_set"}
    assert {field.get("section") for field in form.values()} == {
        None,
        "Checkpoint",
        "Export",
        "Validation",
        "Publication",
        "Rollout",
    }
    assert form["servers"]["default"] is None


def test_parse_without_buckets_in_the_environment_has_no_errors(python: Python) -> None:
    parsed = python("parse_dags")

    assert parsed["import_errors"] == {}


def test_parse_without_any_definition_says_so(python: Python, tmp_path: Path) -> None:
    (tmp_path / "no_models").mkdir()
    (tmp_path / "no_models" / "__init__.py").touch()
    folders = ":".join([str(tmp_path), *(str(ROOT / part) for part in ("tasks", "plugins"))])

    with pytest.raises(AssertionError, match="models: expected at least one definition"):
        python("parse_dags", PYTHONPATH=folders, REDRAW_MODELS="no_models")


@dataclass(frozen=True)
class Observed:
    """A run, and the events that it sent.

    Attributes:
        run: As `run_dag.py` writes it.
        lineage: OpenLineage's events.
        metrics: StatsD's lines.
    """

    run: Any
    lineage: list[dict[str, Any]]
    metrics: list[str]


@pytest.fixture(scope="session")
def observed(
    run_interpreter: Callable[..., Any],
    new_bucket: Callable[[], str],
    gcs_server: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Observed:
    """A run of MNIST without a logical date, in new interpreters, with lineage and metrics switched on."""
    folder, bucket = tmp_path_factory.mktemp("observed"), new_bucket()
    conf = {
        "model": "mnist",
        "bucket": bucket,
        "checkpoint": "latest",
        "steps": 400,
        "catalogue": str(folder / "catalogue"),
    }
    events = folder / "lineage.jsonl"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd:
        statsd.bind(("127.0.0.1", 0))
        statsd.setblocking(False)
        run = run_interpreter(
            folder / "answer.json",
            "run_dag",
            "retrain_and_export",
            "null",
            json.dumps(conf),
            REDRAW_PYTHON="",
            REDRAW_WORK=str(folder / "work"),
            STORAGE_EMULATOR_HOST=gcs_server,
            AIRFLOW__OPENLINEAGE__TRANSPORT=json.dumps(
                {"type": "file", "log_file_path": str(events), "append": True}
            ),
            AIRFLOW__METRICS__STATSD_ON="True",
            AIRFLOW__METRICS__STATSD_HOST="127.0.0.1",
            AIRFLOW__METRICS__STATSD_PORT=str(statsd.getsockname()[1]),
        )
        metrics = list(_received(statsd))
    lineage = [json.loads(line) for line in events.read_text().splitlines()]
    return Observed(run=run | {"bucket": bucket}, lineage=lineage, metrics=metrics)


def _received(listener: socket.socket) -> Iterator[str]:
    with suppress(BlockingIOError):
        while True:
            yield from listener.recv(65536).decode().splitlines()


def test_run_with_lineage_switched_on_leads_from_the_checkpoint_to_the_version(observed: Observed) -> None:
    release = observed.run["xcoms"]["push.return_value"]
    (pushed,) = (
        event
        for event in observed.lineage
        if event["eventType"] == "COMPLETE" and event["job"]["name"] == "retrain_and_export.push"
    )

    assert [one["name"] for one in pushed["inputs"]] == [release["checkpoint"]["uri"]]
    (version,) = pushed["outputs"]
    assert f"{version['namespace']}/{version['name']}" == release["uri"]
    assert version["facets"]["version"]["datasetVersion"] == str(release["version"])


def test_run_with_metrics_switched_on_sends_what_each_stage_took(observed: Observed) -> None:
    kinds = {line.partition(":")[0].removeprefix("airflow."): line for line in observed.metrics}

    for stage in ("train", "checkpoint", "export", "validate", "push"):
        assert kinds[f"redraw.{stage}.duration"].endswith("|ms")
    size = observed.run["xcoms"]["push.return_value"]["size_bytes"]
    assert kinds["redraw.push.bytes"] == f"airflow.redraw.push.bytes:{size}|g"


def test_run_with_null_logical_date_publishes_a_version_from_real_digits(
    observed: Observed, gcs_server: str, tmp_path: Path
) -> None:
    run, bucket = observed.run, observed.run["bucket"]

    assert {name: task["state"] for name, task in run["tasks"].items()} == dict.fromkeys(
        ("train", "checkpoint", "export", "validate", "push"), "success"
    ) | {"approve": "skipped", "confirm_rollout": "skipped"}, run["log"][-6000:]
    assert run["logical_date"] is None
    release = run["xcoms"]["push.return_value"]
    assert run["xcoms"]["validate.return_value"]["passed"] is True
    extra = {
        "model": "mnist",
        "version": release["version"],
        "uri": f"{bucket}/mnist/{release['version']}",
        "digest": release["digest"],
        "metrics": release["checkpoint"]["metrics"],
    }
    assert {"asset": "redraw_releases", "extra": extra} in run["events"]
    changes = [event["extra"] for event in run["events"] if event["asset"] == f"{bucket}/mnist"]
    assert len(changes) == len(run["events"]) - 1
    assert [(change["kind"], change["by"]) for change in changes] == [
        (event["kind"], "dag_test") for event in release["events"]
    ]
    assert extra.items() <= changes[0].items()
    assert release["checkpoint"]["metrics"]["accuracy"] >= 0.93
    provenance = release["provenance"]
    assert provenance["dag_run"] == f"retrain_and_export/{run['run_id']}"
    assert (provenance["try_number"], provenance["asked_by"]) == (run["tasks"]["push"]["tries"], "dag_test")
    assert len(provenance["made_by"]["definition_digest"]) == 64
    # A local server's objects are no place for a browser.
    assert run["xcoms"]["push._link_ReleaseLink"] == ""
    name = bucket.removeprefix("gs://")
    with urllib.request.urlopen(f"{gcs_server}/storage/v1/b/{name}/o?alt=json", timeout=10) as answer:
        objects = {item["name"] for item in json.load(answer)["items"]}
    assert {f"mnist/{release['version']}/saved_model.pb", "mnist/live.json"} <= objects
    # The stages' own log lines are in the tasks' log, under their own names.
    assert "trained mnist" in run["log"]
    # Airflow leaves no trace in what is served.
    checkpoint, out = release["checkpoint"]["uri"], str(tmp_path / "by-hand")
    by_hand = export_model(ExportRequest(model="mnist", checkpoint=checkpoint, out=out))
    assert by_hand.digest == release["digest"]


def test_run_with_a_step_that_no_checkpoint_will_have_fails_before_training_and_without_a_retry(
    python: Python, gcs_server: str, bucket: str, tmp_path: Path
) -> None:
    conf = {
        "model": "mnist",
        "bucket": bucket,
        "catalogue": str(tmp_path / "catalogue"),
        "steps": 5,
        "checkpoint": "step",
        "step": 999,
    }

    run = python(
        "run_dag",
        "retrain_and_export",
        "2026-01-05T03:00:00+00:00",
        json.dumps(conf),
        REDRAW_WORK=str(tmp_path / "work"),
        STORAGE_EMULATOR_HOST=gcs_server,
    )

    assert run["logical_date"].startswith("2026-01-05")
    assert run["state"] == "failed"
    assert run["tasks"]["train"] == {"state": "failed", "tries": 1}
    assert run["tasks"]["push"]["state"] == "upstream_failed"
    assert run["events"] == []
    assert run["xcoms"]["train.failure"]["error"] == "InvalidRequest"
    assert "step: expected a step whose checkpoint a training of 5 steps keeps" in run["log"]


def test_run_with_choices_that_do_not_go_together_fails_before_training_and_says_so_in_a_line(
    python: Python, tmp_path: Path
) -> None:
    conf = {
        "model": "mnist",
        "bucket": "gs://nowhere",
        "checkpoint": "best",
        "catalogue": str(tmp_path / "catalogue"),
    }

    run = python(
        "run_dag", "retrain_and_export", "null", json.dumps(conf), REDRAW_WORK=str(tmp_path / "work")
    )

    assert run["tasks"]["train"] == {"state": "failed", "tries": 1}
    assert not (tmp_path / "work").exists()
    line = f"retrain_and_export.train (mnist) failed in {run['run_id']}, try 1: metric: expected a value with"
    assert line in run["log"]
