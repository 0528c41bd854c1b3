import json
import shutil
from pathlib import Path

import pytest

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.catalogue.store import fetch_checkpoint
from redraw.checkpoint.select import select_checkpoint
from redraw.errors import CheckpointCorrupt, CheckpointMismatch, CheckpointNotFound, DiskFull, InvalidName
from redraw.records import Checkpoint, TrainingRun
from redraw.requests import CheckpointRequest
from redraw.runs.folder import RunFolder


@pytest.fixture
def run_copy(trained_mnist: TrainingRun, tmp_path: Path) -> RunFolder:
    """A copy of the trained run that a test may damage."""
    shutil.copytree(trained_mnist.uri, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def select(folder: RunFolder, catalogue: Path | str, model: str = "mnist", **choice: object) -> Checkpoint:
    request = {"model": model, "from": str(folder.path), "catalogue": str(catalogue), **choice}
    return select_checkpoint(CheckpointRequest.from_json(request))


def test_select_latest_is_copied_whole_with_its_record(run_copy: RunFolder, tmp_path: Path) -> None:
    found = select(run_copy, tmp_path / "catalogue", latest=True)
    folder = tmp_path / "catalogue" / "mnist" / f"1000-{found.digest[:12]}"
    assert found.uri == str(folder)
    assert Checkpoint.from_text((folder / "record.json").read_bytes(), "record") == found
    evaluation = run_copy.evaluations()[1000]
    assert (found.step, found.trained_at, found.metrics) == (1000, evaluation.time, evaluation.metrics)
    assert found.averages
    copied = TensorBundle(folder / found.prefix)
    copied.verify()
    assert copied.digest() == found.digest


def test_select_again_gives_the_same_record(run_copy: RunFolder, tmp_path: Path) -> None:
    first = select(run_copy, tmp_path / "catalogue", step=400)
    assert select(run_copy, tmp_path / "catalogue", step=400) == first
    assert len(list((tmp_path / "catalogue" / "mnist").iterdir())) == 1


def test_select_into_a_bucket_is_fetched_back_the_same(
    run_copy: RunFolder, bucket: str, tmp_path: Path
) -> None:
    found = select(run_copy, bucket, latest=True)
    assert found.uri.startswith(f"{bucket}/mnist/1000-")
    prefix, record = fetch_checkpoint(found.uri, tmp_path / "scratch")
    assert record == found
    assert TensorBundle(prefix).digest() == found.digest


@pytest.mark.parametrize(("metric", "best"), [("accuracy", max), ("average_loss", min), ("loss", min)])
def test_select_best_takes_the_best_value(
    metric: str, best: object, run_copy: RunFolder, tmp_path: Path
) -> None:
    found = select(run_copy, tmp_path / "catalogue", best=metric)
    values = [evaluation.metrics[metric] for evaluation in run_copy.evaluations().values()]
    assert found.metrics[metric] == best(values)  # type: ignore[operator]


def test_select_best_passes_over_nan(run_copy: RunFolder, tmp_path: Path) -> None:
    run_copy.add_evaluation(1000, {"accuracy": float("nan")})
    assert select(run_copy, tmp_path / "catalogue", best="accuracy").step != 1000


def test_select_unknown_metric_lists_the_known(run_copy: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFound, match="found metrics accuracy, average_accuracy"):
        select(run_copy, tmp_path / "catalogue", best="f1")


def test_select_absent_step_lists_the_steps(run_copy: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointNotFound, match="expected a checkpoint of step 5, found steps 200, 400, 600"
    ):
        select(run_copy, tmp_path / "catalogue", step=5)


def test_select_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFound, match=r"expected a training run \(run.json\)"):
        select(RunFolder(tmp_path), tmp_path / "catalogue", latest=True)


def test_select_run_without_checkpoints_is_refused(run_copy: RunFolder, tmp_path: Path) -> None:
    shutil.rmtree(run_copy.checkpoints)
    with pytest.raises(CheckpointNotFound, match=r"expected checkpoints \(ckpt-STEP.index\), got none"):
        select(run_copy, tmp_path / "catalogue", latest=True)


@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped"])
def test_select_damaged_data_is_refused_and_not_catalogued(
    damage: str, run_copy: RunFolder, tmp_path: Path
) -> None:
    data = run_copy.checkpoints / "ckpt-1000.data-00000-of-00001"
    content = data.read_bytes()
    if damage == "missing":
        data.unlink()
    elif damage == "truncated":
        data.write_bytes(content[: len(content) // 2])
    else:
        data.write_bytes(content[:5000] + bytes([content[5000] ^ 1]) + content[5001:])
    with pytest.raises(CheckpointCorrupt, match="ckpt-1000"):
        select(run_copy, tmp_path / "catalogue", latest=True)
    assert not (tmp_path / "catalogue").exists()


def test_select_run_of_another_model_is_refused(run_copy: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(CheckpointMismatch, match="expected a run of model 'other', got one of 'mnist'"):
        select(run_copy, tmp_path / "catalogue", model="other", latest=True)


def test_select_hostile_model_name_is_refused(run_copy: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(InvalidName):
        select(run_copy, tmp_path / "catalogue", model="../mnist", latest=True)


def test_select_onto_a_full_disk_leaves_no_record(run_copy: RunFolder, tiny_disk: Path) -> None:
    with pytest.raises(DiskFull):
        select(run_copy, tiny_disk / "catalogue", latest=True)
    assert not list(tiny_disk.rglob("record.json"))


def test_select_stopped_before_the_record_is_completed(run_copy: RunFolder, tmp_path: Path) -> None:
    found = select(run_copy, tmp_path / "catalogue", latest=True)
    (Path(found.uri) / "record.json").unlink()
    (Path(found.uri) / "weights.index").unlink()
    assert select(run_copy, tmp_path / "catalogue", latest=True) == found
    assert json.loads((Path(found.uri) / "record.json").read_text())["digest"] == found.digest
