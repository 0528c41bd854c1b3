"""Exports of checkpoints that several workers wrote, each its own shards: a real cluster, on loopback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.definition import GraphFunctionDefinition, Mode
from redraw.definition.registry import load_definition
from redraw.export.export import export_model
from redraw.records import ExportedModel
from redraw.requests import ExportRequest
from tests.conftest import free_port
from tests.paths import TESTS

_WORKERS = 3
v1 = tf.compat.v1

Values = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def cluster() -> tuple[str, Any]:
    """A session's target, and what places variables on the workers in turn.

    TensorFlow ends such servers with the process.
    """
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(_WORKERS)]
    spec = tf.train.ClusterSpec({"ps": addresses})
    servers = [tf.distribute.Server(spec, job_name="ps", task_index=task) for task in range(_WORKERS)]
    return servers[0].target, v1.train.replica_device_setter(cluster=spec, worker_device="/job:ps/task:0")


@pytest.fixture
def definition(monkeypatch: pytest.MonkeyPatch) -> GraphFunctionDefinition:
    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.setenv("REDRAW_MODELS", "sample_models")
    found = load_definition("word_graph")
    assert isinstance(found, GraphFunctionDefinition)
    return found


@pytest.fixture
def export(tmp_path: Path) -> Callable[[Path], ExportedModel]:
    def run(prefix: Path) -> ExportedModel:
        out = str(tmp_path / f"{prefix.name}-export")
        return export_model(ExportRequest(model="word_graph", checkpoint=str(prefix), out=out, weights="raw"))

    return run


def save_by_workers(definition: GraphFunctionDefinition, cluster: tuple[str, Any], folder: Path) -> Values:
    """Save the same values twice: `sharded`, a shard a worker, and `whole`, by one of them."""
    target, on_workers = cluster
    with tf.Graph().as_default():
        with v1.device(on_workers):
            definition.build(Mode.SERVE)({"word": tf.constant(["one"])})
            saved = v1.global_variables()
            savers = {name: v1.train.Saver(sharded=name == "sharded") for name in ("sharded", "whole")}
        # Tables are each process's own: only what is saved lies on the workers.
        with v1.Session(target) as session:
            session.run(v1.global_variables_initializer())
            generator = np.random.default_rng(5)
            for variable in saved:
                value = generator.random(variable.shape).astype(variable.dtype.as_numpy_dtype)
                variable.load(value, session)
            for name, saver in savers.items():
                saver.save(session, str(folder / name), write_meta_graph=False)
            return {variable.op.name: session.run(variable) for variable in saved}


def test_export_of_what_several_workers_wrote_is_that_of_one_worker(
    definition: GraphFunctionDefinition,
    cluster: tuple[str, Any],
    export: Callable[[Path], ExportedModel],
    tmp_path: Path,
) -> None:
    values = save_by_workers(definition, cluster, tmp_path)
    sharded, whole = (TensorBundle(tmp_path / name) for name in ("sharded", "whole"))
    assert (sharded.num_shards, whole.num_shards) == (_WORKERS, 1)

    exported = export(tmp_path / "sharded")

    assert exported.digest == export(tmp_path / "whole").digest
    served = TensorBundle(Path(exported.uri) / "variables" / "variables")
    embedding = np.concatenate([values[f"embedding/part_{number}"] for number in (0, 1)])
    np.testing.assert_array_equal(served.read_array("embedding"), embedding)
