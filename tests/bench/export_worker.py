"""One process that is measured: `python export_worker.py WAY FOLDER`, figures as JSON on standard output.

It works in FOLDER, on `checkpoint/`, and writes `WAY/`. What it imports is left out of time
and memory.
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
_TESTS = Path(__file__).parents[1]
sys.path[0] = os.fspath(_TESTS.parent)
sys.path.append(os.fspath(_TESTS))

import keras  # noqa: E402 - found, and quiet, only after what stands above
import tensorflow as tf  # noqa: E402
from sample_models.dense_stack import WIDTH, DenseStack  # noqa: E402

from tasks.checkpoint.object_graph import variables_below  # noqa: E402
from tasks.checkpoint.source import open_checkpoint  # noqa: E402
from tasks.definition import Mode  # noqa: E402
from tasks.export import export_model  # noqa: E402
from tasks.requests import ExportRequest  # noqa: E402

_CHECKPOINT = Path("checkpoint/weights")


def write_checkpoint() -> None:
    """The model's weights and Adam's slots."""
    network = DenseStack().build(Mode.TRAIN)
    optimizer = keras.optimizers.Adam()
    optimizer.build(network.trainable_variables)
    tf.train.Checkpoint(model=network, optimizer=optimizer).write(str(_CHECKPOINT))


def export_redraw() -> None:
    """The whole stage, as a user runs it: records, ledger, warm-up requests and digest included."""
    export_model(ExportRequest(model="dense_stack", checkpoint=str(_CHECKPOINT), out="redraw"))


def export_keras() -> None:
    """Keras' own way."""
    network = DenseStack().build(Mode.SERVE)
    tf.train.Checkpoint(model=network).read(str(_CHECKPOINT)).expect_partial()
    network.export("keras", verbose=False)


def export_session() -> None:
    """The classic way of TensorFlow 1."""
    keys = variables_below(open_checkpoint(_CHECKPOINT).graph, "model")
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
        builder = tf.compat.v1.saved_model.Builder("session")
        signature = tf.compat.v1.saved_model.predict_signature_def({"x": x}, {"y": y})
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()


WAYS: dict[str, Callable[[], None]] = {
    "checkpoint": write_checkpoint,
    "redraw": export_redraw,
    "keras": export_keras,
    "session": export_session,
}


def main() -> None:
    """Go one way and say what it took."""
    way, folder = sys.argv[1:]
    os.chdir(folder)
    # TensorFlow starts its threads and devices at the first operation: part of its import.
    tf.constant(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on
    before, started = _memory("VmRSS"), time.perf_counter()
    WAYS[way]()
    figures: dict[str, Any] = {
        "seconds": time.perf_counter() - started,
        "peak_bytes": _memory("VmHWM") - before,
        "written_bytes": sum(path.stat().st_size for path in Path(way).rglob("*") if path.is_file()),
    }
    sys.stdout.write(json.dumps(figures) + "\n")


def _memory(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main()
