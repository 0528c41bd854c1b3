"""The example DAGs, as somebody would use them who copies them into their DAGs folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from redraw.checkpoint.select import select_checkpoint
from redraw.publish.live.set_live import change_live
from redraw.requests import CheckpointRequest, LiveRequest
from tests.dags.conftest import open_airflow
from tests.paths import ROOT

Run = Callable[..., Any]

EXAMPLES = ROOT / "plugins" / "redraw_airflow" / "example_dags"
_CHAIN = ["approve", "checkpoint", "confirm_rollout", "export", "push", "train", "validate"]
# Of each file, the DAGs, with the tasks of each and what comes after them.
DAGS = {
    "redraw_after_release": ["announce"],
    "redraw_compare_answers": ["choose_files", "compare", "sum_up"],
    "redraw_branch_on_report": ["announce", "decide", "push", "validate"],
    "redraw_each_mnist": _CHAIN,
    "redraw_each_text_classifier": _CHAIN,
    "redraw_export_on_arrival": ["arrived", "export", "newest", "push", "validate"],
    "redraw_map_checkpoints": ["choose_checkpoints", "examine.export", "examine.validate", "sum_up"],
    "redraw_map_models": [
        "choose_models",
        *(f"publish.{name}" for name in ("checkpoint", "export", "push", "train", "validate")),
    ],
    "redraw_native_mnist": ["export", "mark", "push", "validate"],
    "redraw_native_text_classifier": ["export", "mark", "push", "validate"],
    "redraw_own_saved_model": ["export", "push", "validate"],
    "redraw_rollout": ["confirm_rollout", "published"],
    "redraw_taskflow": ["checkpoint", "choose_steps", "export", "push", "train", "validate"],
}


@pytest.fixture(scope="module")
def variables(
    gcs_server: str, new_bucket: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """An Airflow whose DAGs folder has only the examples, for models that are small."""
    folder = tmp_path_factory.mktemp("examples")
    return {
        "AIRFLOW__CORE__DAGS_FOLDER": os.fspath(EXAMPLES),
        "REDRAW_MODELS": "sample_models",
        "PYTHONPATH": os.pathsep.join(os.fspath(ROOT / part) for part in ("", "tasks", "plugins", "tests")),
        "REDRAW_WORK": os.fspath(folder / "work"),
        "REDRAW_CHECKPOINTS": os.fspath(folder / "catalogue"),
        "REDRAW_MODEL_BUCKET": new_bucket(),
        "STORAGE_EMULATOR_HOST": gcs_server,
    }


@pytest.fixture(scope="module")
def run_example(
    airflow_environment: dict[str, str], variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Run]:
    """Runs programs in that Airflow: `run_example(answer, module, *arguments, **variables)`."""
    with open_airflow(airflow_environment | variables, tmp_path_factory.mktemp("runs")) as run:
        yield run


@pytest.fixture(scope="module")
def chain(run_example: Run, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run of the TaskFlow chain."""
    conf = json.dumps({"model": "dense_line", "steps": 8})
    answer = tmp_path_factory.mktemp("chain") / "answer.json"
    return run_example(answer, "run_dag", "example_taskflow", "null", conf)


def test_parse_every_example_finds_its_dags_and_no_error(run_example: Run, tmp_path: Path) -> None:
    parsed = run_example(tmp_path / "answer.json", "parse_dags", REDRAW_MODELS="redraw.models")

    assert parsed["import_errors"] == {}
    tasks = {
        name: sorted(task["__var"]["task_id"] for task in dag["tasks"])
        for name, dag in parsed["dags"].items()
    }
    assert tasks == DAGS
    # Two of the files have a DAG for each of two models.
    assert len(list(EXAMPLES.glob("example_*.py"))) == len(DAGS) - 2


def test_run_taskflow_chain_publishes_what_it_trained(chain: Any) -> None:
    assert {name: task["state"] for name, task in chain["tasks"].items()} == dict.fromkeys(
        DAGS["redraw_taskflow"], "success"
    ), chain["log"][-4000:]
    release = chain["xcoms"]["push.return_value"]
    assert (release["model"], release["checkpoint"]["step"]) == ("dense_line", 8)
    assert release["provenance"]["dag_run"].startswith("redraw_taskflow/")


def test_checkpoint_that_lands_in_a_bucket_is_exported_validated_and_pushed(
    chain: Any,
    run_example: Run,
    variables: dict[str, str],
    new_bucket: Callable[[], str],
    tmp_path: Path,
) -> None:
    catalogue, trained = new_bucket(), chain["xcoms"]["train.return_value"]["uri"]
    example = (EXAMPLES / "example_export_on_arrival.py").read_text()
    constants = 'MODEL, CATALOGUE = "mnist", "gs://checkpoints"'
    assert constants in example
    (tmp_path / "on_arrival.py").write_text(
        example.replace(constants, f'MODEL, CATALOGUE = "dense_line", "{catalogue}"')
    )
    landed = select_checkpoint(
        CheckpointRequest(model="dense_line", source=trained, catalogue=catalogue, latest=True)
    )

    folder = {"AIRFLOW__CORE__DAGS_FOLDER": os.fspath(tmp_path), "REDRAW_CHECKPOINTS": catalogue}
    run = run_example(tmp_path / "answer.json", "run_arrival", "on_arrival", **folder)

    assert run["state"] == "success", run["log"][-6000:]
    assert run["xcoms"]["newest.return_value"] == landed.to_json()
    release = run["xcoms"]["push.return_value"]
    assert (release["checkpoint"]["digest"], release["report"]["passed"]) == (landed.digest, True)
    assert run["events"][0]["asset"] == f"{variables['REDRAW_MODEL_BUCKET']}/dense_line"


def test_run_compare_answers_is_mapped_over_files_and_sums_up(
    chain: Any, run_example: Run, variables: dict[str, str], tmp_path: Path
) -> None:
    version = chain["xcoms"]["push.return_value"]["version"]
    change_live(LiveRequest(model="dense_line", bucket=variables["REDRAW_MODEL_BUCKET"], set=version))
    files = [Path(variables["REDRAW_WORK"]) / f"{day}.jsonl" for day in ("monday", "tuesday")]
    for rows, file in enumerate(files, start=1):
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps({"instances": [[0.5]] * rows}) + "\n")
    conf = json.dumps({"model": "dense_line", "version": version, "files": [*map(os.fspath, files)]})

    run = run_example(tmp_path / "answer.json", "run_dag", "example_compare_answers", "null", conf)

    assert {task["state"] for task in run["tasks"].values()} == {"success"}, run["log"][-4000:]
    assert run["xcoms"]["sum_up.return_value"] == {"rows": 3, "changed": 0}


def test_run_branch_on_report_of_a_damaged_export_publishes_nothing_and_says_why(
    chain: Any, run_example: Run, tmp_path: Path
) -> None:
    exported = Path(chain["xcoms"]["export.return_value"]["uri"])
    damaged = exported.with_name("damaged")
    shutil.copytree(exported, damaged)
    record = Path(f"{exported}.json")
    if record.exists():
        shutil.copy(record, f"{damaged}.json")
    graph = damaged / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:-1])
    conf = json.dumps({"model": "dense_line", "saved_model": os.fspath(damaged)})

    run = run_example(tmp_path / "answer.json", "run_dag", "example_branch_on_report", "null", conf)

    states = {name: task["state"] for name, task in run["tasks"].items()}
    assert states == {"validate": "failed", "decide": "success", "push": "skipped", "announce": "success"}
    assert run["xcoms"]["announce.return_value"].startswith("not published: "), run["xcoms"]
    assert "no report" not in run["xcoms"]["announce.return_value"]


def test_run_mapped_checkpoints_of_which_one_is_missing_validates_the_other(
    chain: Any, run_example: Run, tmp_path: Path
) -> None:
    kept = chain["xcoms"]["checkpoint.return_value"]["uri"]
    conf = json.dumps({"model": "dense_line", "checkpoints": [kept, os.fspath(tmp_path / "nowhere")]})

    run = run_example(tmp_path / "answer.json", "run_dag", "example_map_checkpoints", "null", conf)

    states = {name: task["state"] for name, task in run["mapped"].items()}
    assert states == {
        "examine.export.0": "success",
        "examine.export.1": "failed",
        "examine.validate.0": "success",
        "examine.validate.1": "upstream_failed",
    }, run["log"][-4000:]
    assert run["xcoms"].get("sum_up.return_value") == "1 of 2 passed", run["log"][-4000:]


def test_run_of_a_generated_dag_with_native_rendering_takes_values_records_and_none(
    chain: Any, run_interpreter: Callable[..., Any], variables: dict[str, str], tmp_path: Path
) -> None:
    example = (EXAMPLES / "example_native_rendering.py").read_text()
    constant = 'MODELS = ["mnist", "text_classifier"]'
    assert constant in example
    (tmp_path / "native.py").write_text(example.replace(constant, 'MODELS = ["dense_line", "line_module"]'))
    kept = chain["xcoms"]["checkpoint.return_value"]["uri"]
    # What native rendering makes a number of.
    conf = json.dumps({"checkpoint": kept, "make_live": True, "why": "7.5"})

    folder = {"AIRFLOW__CORE__DAGS_FOLDER": os.fspath(tmp_path)}
    run = run_interpreter(tmp_path / "answer.json", "run_dag", "native", "null", conf, **variables | folder)

    assert run["logical_date"] is None
    assert {name: task["state"] for name, task in run["tasks"].items()} == dict.fromkeys(
        DAGS["redraw_native_mnist"], "success"
    ), run["log"][-6000:]
    version = run["xcoms"]["push.return_value"]["version"]
    pointer = run["xcoms"]["mark.return_value"]
    assert (pointer["version"], pointer["pinned"]) == (version, {str(version): "7.5"})


def test_run_mapped_models_of_which_one_is_unknown_publishes_the_other(
    run_example: Run, tmp_path: Path
) -> None:
    conf = json.dumps({"models": ["line_module", "nobody"]})

    run = run_example(tmp_path / "answer.json", "run_dag", "example_map_models", "null", conf)

    states = {name: task["state"] for name, task in run["mapped"].items()}
    assert {
        states[f"publish.{name}.0"] for name in ("train", "checkpoint", "export", "validate", "push")
    } == {"success"}, run["log"][-6000:]
    assert (states["publish.train.1"], states["publish.push.1"]) == ("failed", "upstream_failed")
    assert "expected one of" in run["xcoms"]["publish.train.failure"]["message"]
