"""Two real workers on loopback, and two replicas in one process, next to a training by one."""

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from redraw.errors import InvalidDefinition, InvalidRequest
from redraw.requests import TrainRequest
from redraw.runs.folder import RunFolder
from redraw.storage.opening import Storage, download_tree, open_storage
from redraw.train.train import train_model
from tests.conftest import free_port
from tests.forks import Program
from tests.paths import TESTS
from tests.redraw.train.conftest import StartTraining

STEPS = 400

# The second counts the files of a process, and asynchronous saving writes it as it was.
_NO_STATE = {"_CHECKPOINTABLE_OBJECT_GRAPH", "save_counter/.ATTRIBUTES/VARIABLE_VALUE"}


@pytest.fixture(autouse=True)
def sample_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own definitions next to the ones that ship."""
    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.setenv("REDRAW_MODELS", "sample_models,redraw.models")
    monkeypatch.delenv("TF_CONFIG", raising=False)


def flags(out: str, distribution: str) -> list[str]:
    return [
        "--model",
        "dense_plain",
        "--out",
        out,
        "--max-steps",
        str(STEPS),
        "--distribution",
        distribution,
    ]


def start_workers(start_training: StartTraining, out: str, machines: Path) -> list[Program]:
    """Two workers, each with scratch of its own, as on two machines."""
    cluster = {"worker": [f"127.0.0.1:{free_port()}" for _ in range(2)]}
    configs = [
        json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}) for index in (0, 1)
    ]
    return [
        start_training(
            *flags(out, "multi_worker"), TF_CONFIG=config, REDRAW_SCRATCH=str(machines / f"machine-{index}")
        )
        for index, config in enumerate(configs)
    ]


def assert_same_training(out: Path, expected: Path) -> None:
    """The weights, their averages and the optimizer's slots, and what was measured on the way."""
    reader, other = (
        tf.train.load_checkpoint(str(p / "checkpoints" / f"ckpt-{STEPS}")) for p in (out, expected)
    )
    shapes = reader.get_variable_to_shape_map()
    assert shapes == other.get_variable_to_shape_map()
    for key in sorted(set(shapes) - _NO_STATE):
        values = (folder.get_tensor(key) for folder in (reader, other))
        np.testing.assert_allclose(*values, rtol=1e-3, atol=1e-4, err_msg=key)
    measured, by_one = (RunFolder(folder).evaluations() for folder in (out, expected))
    assert set(measured) == set(by_one)
    assert measured[STEPS].metrics == pytest.approx(by_one[STEPS].metrics, rel=1e-3, abs=1e-5)


@pytest.fixture(scope="module")
def trained_by_one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that all others have to equal."""
    out = tmp_path_factory.mktemp("one") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TESTS))
        patch.setenv("REDRAW_MODELS", "sample_models")
        train_model(TrainRequest(model="dense_plain", out=str(out), max_steps=STEPS))
    return out


def saved_steps(storage: Storage) -> list[int]:
    names = (item.name for item in storage.list("run/checkpoints/ckpt-"))
    return sorted(
        int(name.split("-")[-1].removesuffix(".index")) for name in names if name.endswith(".index")
    )


@pytest.mark.parametrize("shares", ["a folder", "a bucket"])
def test_train_by_two_workers_of_which_one_is_killed_ends_as_by_one(
    shares: str,
    bucket: str,
    trained_by_one: Path,
    tmp_path: Path,
    until: Callable[..., None],
    start_training: StartTraining,
) -> None:
    shared = bucket if shares == "a bucket" else str(tmp_path / "shared")
    out, storage = f"{shared}/run", open_storage(shared)
    first = start_workers(start_training, out, tmp_path)
    try:
        until(lambda: 50 in saved_steps(storage), "the checkpoint of step 50", 120.0, every=0.1)
    finally:
        first[1].kill()
        ended = [worker.wait(90.0) for worker in first]
    assert [worker.status for worker in ended] == [1, -signal.SIGKILL], ended[0].stderr
    assert "error [WorkerLost]: worker 0 of 2" in ended[0].stderr
    saved = max(saved_steps(storage))
    assert 50 <= saved < STEPS

    leader, follower = [worker.wait(240.0) for worker in start_workers(start_training, out, tmp_path)]
    assert (leader.status, follower.status) == (0, 0), leader.stderr
    carried_on = re.search(r"resuming from \S+/checkpoints/ckpt-(\d+)", leader.stderr)
    assert carried_on is not None
    assert int(carried_on[1]) == saved
    download_tree(storage, "run", tmp_path / "copy")
    assert_same_training(tmp_path / "copy", trained_by_one)
    record = json.loads(follower.stdout)
    assert (record["step"], record["uri"], record["metrics"]) == (STEPS, out, {})
    assert "carrying on" not in follower.stderr


def test_train_by_two_replicas_of_one_machine_ends_as_by_one(
    trained_by_one: Path, tmp_path: Path, start_training: StartTraining
) -> None:
    ended = start_training(*flags(str(tmp_path / "run"), "mirrored"), replicas=True).wait()
    assert ended.status == 0, ended.stderr
    assert_same_training(tmp_path / "run", trained_by_one)


@pytest.mark.parametrize(
    ("model", "distribution", "error", "message"),
    [
        ("digits_graph", "mirrored", InvalidDefinition, "for a TF1 graph function"),
        (
            "dense_bfloat16",
            "mirrored",
            InvalidDefinition,
            "expected distribution none, because the training plan sets jit_compile",
        ),
        ("dense_plain", "multi_worker", InvalidRequest, "expected TF_CONFIG"),
    ],
)
def test_train_in_a_way_that_cannot_be_is_refused_before_it_starts(
    model: str, distribution: str, error: type[Exception], message: str, tmp_path: Path
) -> None:
    request = TrainRequest.from_json(
        {"model": model, "out": str(tmp_path / "run"), "distribution": distribution}
    )
    with pytest.raises(error, match=message):
        train_model(request)
    assert not (tmp_path / "run").exists()
