"""Recorded graphs that reach for files: whatever runs of them while they are drafted, exported and proven."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from redraw.errors import RedrawError
from redraw.validate.outcome import CannotRun
from redraw.validate.subject.recording.untouched import UntouchedReference
from tests.redraw.recorded.asking import ask, definition_of, request_of
from tests.redraw.recorded.old_graphs import Case, Recorded, record

tf1 = tf.compat.v1


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """A good recording, with batch normalization and dropout."""
    return record(Case(norm="unfused"), tmp_path_factory.mktemp("whole"))


def _node(graph: Any, op: str, name: str, **constants: bytes) -> Any:
    with tf.Graph().as_default():
        made = [tf.constant(value, name=f"{name}/{key}") for key, value in constants.items()]
        for tensor in made:
            graph.node.add().CopyFrom(tensor.op.node_def)
    node = graph.node.add(op=op, name=name)
    node.input.extend(tensor.op.name for tensor in made)
    return node


def _write(graph: Any, target: Path) -> str:
    _node(graph, "WriteFile", "reached", filename=str(target).encode(), contents=b"x")
    return "reached"


def _in_function(graph: Any, target: Path) -> str:
    """The same within a function that the graph calls."""
    body = graph.library.function.add()
    body.signature.name = "inner"
    inner = type(graph)()
    _write(inner, target)
    for node in inner.node:
        made = body.node_def.add()
        made.CopyFrom(node)
        made.input[:] = [f"{source}:output:0" for source in node.input]
    body.control_ret["reached"] = "reached"
    body.signature.control_output.append("reached")
    node = graph.node.add(op="StatefulPartitionedCall", name="called")
    node.attr["f"].func.name = "inner"
    for kind in ("Tin", "Tout"):
        node.attr[kind].list.SetInParent()
    return "called"


def _restore(meta: Any) -> str:
    return str(meta.saver_def.restore_op_name)


def _output(_: Any) -> str:
    return "probabilities"


def _update(meta: Any) -> str:
    return next(str(node.name) for node in meta.graph_def.node if node.op.startswith("AssignSub"))


PLACES = {"restore": _restore, "output": _output, "update": _update}


def bent(
    whole: Recorded, folder: Path, reach: Callable[[Any, Path], str], place: str
) -> tuple[Recorded, Path]:
    """The same recording, but running one of its operations writes a file."""
    meta = meta_graph_pb2.MetaGraphDef.FromString(whole.meta.read_bytes())
    target = folder / "written"
    before = PLACES[place](meta) if place in PLACES else place
    name = reach(meta.graph_def, target)
    node = next(one for one in meta.graph_def.node if one.name == before)
    node.input.append(f"^{name}")
    for path in whole.prefix.parent.glob(f"{whole.prefix.name}.*"):
        (folder / path.name).write_bytes(path.read_bytes())
    moved = folder / whole.meta.name
    moved.write_bytes(meta.SerializeToString())
    return Recorded(moved, whole.inputs, whole.outputs, whole.constants), target


def _prove(recorded: Recorded) -> Iterator[Any]:
    definition = definition_of(recorded)
    request = request_of(recorded, 3)
    yield ask(definition, recorded, request)["probabilities"]
    reference = UntouchedReference(definition, "raw")
    try:
        reference.restore(recorded.prefix)
        yield reference.answer("serving_default", request)["probabilities"]
    finally:
        reference.close()


@pytest.mark.parametrize("reach", [_write, _in_function], ids=["operation", "function"])
@pytest.mark.parametrize("place", PLACES)
def test_run_recording_that_writes_a_file_leaves_none(
    place: str, reach: Callable[[Any, Path], str], whole: Recorded, tmp_path: Path
) -> None:
    recorded, target = bent(whole, tmp_path, reach, place)

    with pytest.raises((CannotRun, RedrawError)) as refused:
        list(_prove(recorded))

    assert not target.exists()
    assert "reads or writes files" in str(refused.value) or "WriteFile" in str(refused.value)


def test_run_recording_that_writes_a_file_really_would(whole: Recorded, tmp_path: Path) -> None:
    recorded, target = bent(whole, tmp_path, _write, "restore")

    with tf.Graph().as_default(), tf1.Session() as session:
        tf1.train.import_meta_graph(str(recorded.meta)).restore(session, str(recorded.prefix))

    assert target.read_bytes() == b"x"


def test_run_recording_whose_saver_reads_another_file_is_refused(whole: Recorded, tmp_path: Path) -> None:
    recorded, _ = bent(whole, tmp_path, _write, "restore")
    meta = meta_graph_pb2.MetaGraphDef.FromString(whole.meta.read_bytes())
    restoring = next(node for node in meta.graph_def.node if node.op == "RestoreV2")
    with tf.Graph().as_default():
        meta.graph_def.node.add().CopyFrom(tf.constant(str(whole.prefix), name="elsewhere").op.node_def)
    restoring.input[0] = "elsewhere"
    recorded.meta.write_bytes(meta.SerializeToString())

    with pytest.raises(CannotRun, match="RestoreV2 .* saves or restores a checkpoint"):
        list(_prove(recorded))


def test_run_recording_that_reaches_nothing_is_proven(whole: Recorded) -> None:
    redrawn, untouched = _prove(whole)

    np.testing.assert_allclose(redrawn, untouched, atol=3e-6)
