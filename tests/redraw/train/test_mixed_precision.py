from pathlib import Path

import pytest
import tensorflow as tf

from redraw.checkpoint.select import select_checkpoint
from redraw.export.export import export_model
from redraw.requests import CheckpointRequest, ExportRequest, TrainRequest
from redraw.train.train import train_model
from tests.paths import TESTS


def test_train_in_bfloat16_compiled_leaves_no_trace_in_checkpoint_and_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.setenv("REDRAW_MODELS", "sample_models")
    run = train_model(TrainRequest(model="dense_bfloat16", out=str(tmp_path / "run")))
    plain = train_model(
        TrainRequest(model="dense_plain", out=str(tmp_path / "plain"), run="run", max_steps=20)
    )
    # It did compute in less: near to float32, and not equal to it.
    assert run.metrics["loss"] == pytest.approx(plain.metrics["loss"], rel=0.05)
    assert run.metrics["loss"] != plain.metrics["loss"]

    saved = tf.train.load_checkpoint(str(tmp_path / "run" / "checkpoints" / "ckpt-20"))
    assert tf.bfloat16 not in saved.get_variable_to_dtype_map().values()
    checkpoint = select_checkpoint(
        CheckpointRequest(
            model="dense_bfloat16", source=run, catalogue=str(tmp_path / "catalogue"), latest=True
        )
    )
    exported = export_model(
        ExportRequest(model="dense_bfloat16", checkpoint=checkpoint, out=str(tmp_path / "export"))
    )
    served = tf.saved_model.load(exported.uri).signatures["serving_default"]
    assert served.structured_outputs["y"].dtype == tf.float32
    graph = served.graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    types = {value.type for node in nodes for value in node.attr.values()}
    assert tf.bfloat16.as_datatype_enum not in types
    assert not any("_XlaMustCompile" in node.attr for node in nodes)
