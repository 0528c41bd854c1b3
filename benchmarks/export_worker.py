"""The measured process: `python export_worker.py MODEL WAY FOLDER`; it prints figures as JSON.

It works in FOLDER, on `checkpoint/` of the sample model, and writes `WAY/`. Time and memory do not include
imports.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["REDRAW_MODELS"] = "sample_models"
_TESTS = Path(__file__).parents[1] / "tests"
sys.path[0] = os.fspath(_TESTS.parent)
sys.path.append(os.fspath(_TESTS))

import keras  # noqa: E402 - needs the path and the variables above
import tensorflow as tf  # noqa: E402
from sample_models.dense_graph import DenseGraph  # noqa: E402
from sample_models.dense_stack import WIDTH, DenseStack  # noqa: E402

from redraw.checkpoint.formats.source import open_checkpoint  # noqa: E402
from redraw.checkpoint.objects.object_graph import object_at, variables_from  # noqa: E402
from redraw.definition import Mode  # noqa: E402
from redraw.export.export import export_model  # noqa: E402
from redraw.requests import ExportRequest  # noqa: E402

_CHECKPOINT = Path("checkpoint/weights")
# Makes the SavedModel independent of the devices and of the TensorFlow version.
_PORTABLE = {"clear_devices": True, "strip_default_attrs": True}


def write_keras_checkpoint() -> None:
    """Write the model's weights and Adam's slots, named by object paths."""
    network = DenseStack().build(Mode.TRAIN)
    optimizer = keras.optimizers.Adam()
    optimizer.build(network.trainable_variables)
    tf.train.Checkpoint(model=network, optimizer=optimizer).write(str(_CHECKPOINT))


def write_keras_files() -> None:
    """Write the weights in Keras' formats."""
    network = DenseStack().build(Mode.SERVE)
    network.save("checkpoint/model.keras")
    network.save_weights("checkpoint/model.weights.h5")
    network.save("checkpoint/model.h5")


def write_v1_checkpoint() -> None:
    """Write the weights in the format that TensorFlow used until 2016."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        DenseGraph().graph(Mode.SERVE, tf.compat.v1.placeholder(tf.float32, [None, WIDTH], "x"))
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver(write_version=tf.compat.v1.train.SaverDef.V1)
        saver.save(session, "checkpoint/model.ckpt", write_meta_graph=False)


def write_graph_checkpoint() -> None:
    """Write the model's weights and Adam's slots, named by variables."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x = tf.compat.v1.placeholder(tf.float32, [None, WIDTH], "x")
        loss = DenseGraph().loss(DenseGraph().graph(Mode.TRAIN, x), x)
        tf.compat.v1.train.AdamOptimizer().minimize(loss, tf.compat.v1.train.create_global_step())
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, str(_CHECKPOINT))


def export_redraw(model: str) -> None:
    """Run the whole stage like a user, with records, ledger, warm-up requests and digest."""
    export_model(ExportRequest(model=model, checkpoint=str(_CHECKPOINT), out="redraw"))


def export_keras() -> None:
    """Export with Keras."""
    network = DenseStack().build(Mode.SERVE)
    tf.train.Checkpoint(model=network).read(str(_CHECKPOINT)).expect_partial()
    network.export("keras", verbose=False)


def export_keras_by_session() -> None:
    """Export a TensorFlow 2 checkpoint the TensorFlow 1 way."""
    graph = open_checkpoint(_CHECKPOINT).graph
    keys = {tensor.full_name: tensor.key for _, tensor in variables_from(graph, object_at(graph, "model"))}
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x = y = tf.compat.v1.placeholder(tf.float32, [None, WIDTH], "x")
        variables = {}
        for number in range(len(keys) // 2):
            with tf.compat.v1.variable_scope(f"dense_{number}"):
                kernel = tf.compat.v1.get_variable("kernel", [WIDTH, WIDTH], use_resource=True)
                bias = tf.compat.v1.get_variable("bias", [WIDTH], use_resource=True)
            variables |= {keys[f"dense_{number}/kernel"]: kernel, keys[f"dense_{number}/bias"]: bias}
            y = tf.nn.relu(x @ kernel + bias if number == 0 else y @ kernel + bias)
        tf.compat.v1.train.Saver(variables).restore(session, str(_CHECKPOINT))
        _save(session, x, y)


def export_graph_by_session() -> None:
    """Export the TensorFlow 1 way: rebuild the inference graph, and restore it with its Saver."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x = tf.compat.v1.placeholder(tf.float32, [None, WIDTH], "x")
        y = DenseGraph().graph(Mode.SERVE, x)
        tf.compat.v1.train.Saver().restore(session, str(_CHECKPOINT))
        _save(session, x, y)


def _save(session: Any, x: Any, y: Any) -> None:
    builder = tf.compat.v1.saved_model.Builder("session")
    signature = tf.compat.v1.saved_model.predict_signature_def({"x": x}, {"y": y})
    builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature}, **_PORTABLE)
    builder.save()


WAYS: dict[str, dict[str, Callable[[], None]]] = {
    "dense_stack": {
        "checkpoint": write_keras_checkpoint,
        "files": write_keras_files,
        "redraw": lambda: export_redraw("dense_stack"),
        "keras": export_keras,
        "session": export_keras_by_session,
    },
    "dense_graph": {
        "checkpoint": write_graph_checkpoint,
        "files": write_v1_checkpoint,
        "redraw": lambda: export_redraw("dense_graph"),
        "session": export_graph_by_session,
    },
}


def main() -> None:
    """Run one way and print its figures."""
    model, way, folder = sys.argv[1:]
    os.chdir(folder)
    _CHECKPOINT.parent.mkdir(exist_ok=True)
    # TensorFlow starts threads and devices at the first operation, which counts as its import.
    tf.constant(0)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before, start = _memory("VmRSS"), time.perf_counter()
    WAYS[model][way]()
    figures: dict[str, Any] = {
        "seconds": time.perf_counter() - start,
        "peak_bytes": _memory("VmHWM") - before,
        "written_bytes": sum(path.stat().st_size for path in Path(way).rglob("*") if path.is_file()),
    }
    sys.stdout.write(json.dumps(figures) + "\n")


def _memory(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main()
