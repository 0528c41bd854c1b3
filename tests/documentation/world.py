"""Programs for `ForkServer`: what the pages take to be there, and a block's own commands and code."""

from __future__ import annotations

import os
import shutil
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tensorflow as tf
from airflow.sdk import DAG

import redraw_airflow
from redraw.__main__ import main
from redraw.storage.opening import write_uri
from tests.redraw.recorded.old_graphs import CLASSES, WIDTH, Case, record

__all__ = ["build", "execute", "run"]

# Folder to when its checkpoint was trained: of these the pages know that versions are published, or will be.
_TRAINED = {
    "churn-2019": datetime(2019, 3, 14, 8, 15, tzinfo=UTC),
    "churn-2020": datetime(2020, 6, 17, 9, 30, tzinfo=UTC),
    "churn": datetime(2021, 9, 5, 12, tzinfo=UTC),
}


def build(folder: str) -> None:
    """Make old checkpoints, copy them to gs://old, draft a definition, and publish all in their order."""
    os.chdir(folder)
    for number, (name, trained) in enumerate(_TRAINED.items()):
        _save(Path("old") / name, trained, number)
    _serve_dropout(Path("old/served/3"))
    for path in (found for found in Path("old").rglob("*") if found.is_file()):
        write_uri(f"gs://{path}", path.read_bytes())
    _demand(["draft", "old/churn", "--name", "churn", "--out", "my_models"])
    for name in _TRAINED:
        catalogue = f"work/catalogue-{name}"
        _demand(["adopt", "--model", "churn", "--from", f"old/{name}", "--catalogue", catalogue])
        (checkpoint,) = Path(catalogue, "churn").iterdir()
        out, report = f"work/{name}", f"work/{name}-report.json"
        _demand(["export", "--model", "churn", "--checkpoint", str(checkpoint), "--out", out])
        _demand(["validate", "--model", "churn", "--saved-model", out, "--report", report])
        asked = ["--model", "churn", "--saved-model", out, "--report", report, "--bucket", "gs://models"]
        _demand(["push", *asked, "--make-live"])


def _serve_dropout(folder: Path) -> None:
    """A SavedModel as somebody exported it: its dropout is alive."""
    network = tf.Module()
    network.kernel = tf.Variable(tf.random.stateless_normal([WIDTH, CLASSES], [1, 2]), name="kernel")

    @tf.function(input_signature=[tf.TensorSpec([None, WIDTH], tf.float32, "x")])
    def answer(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": tf.nn.softmax(tf.nn.dropout(x, 0.4) @ network.kernel)}

    tf.saved_model.save(network, str(folder), {"serving_default": answer})


def _save(folder: Path, trained: datetime, number: int) -> None:
    """A training graph of a classifier with dropout, trained a little, as files of step 9000."""
    recorded = record(Case(place="cond"), folder / "tmp", seed=number)
    for path in recorded.meta.parent.glob("model.ckpt-3.*"):
        shutil.copy(path, folder / path.name.replace("-3.", "-9000."))
    shutil.rmtree(folder / "tmp")
    seconds = trained.timestamp()
    (folder / "checkpoint").write_text(
        'model_checkpoint_path: "model.ckpt-9000"\nall_model_checkpoint_paths: "model.ckpt-9000"\n'
        f"all_model_checkpoint_timestamps: {seconds}\nlast_preserved_timestamp: {seconds}\n"
    )


def _demand(arguments: list[str]) -> None:
    if status := main(arguments):
        raise SystemExit(status)


def run(folder: str, *arguments: str) -> int:
    """What `redraw ARGUMENTS` does in a folder, and where the host `models` is the page's model server."""
    os.chdir(folder)
    look_up = socket.getaddrinfo
    host = os.environ.get("DOCUMENTATION_MODELS", "models")
    socket.getaddrinfo = lambda name, *rest, **more: look_up(
        host if name == "models" else name, *rest, **more
    )
    return main([*arguments])


def execute(folder: str, page: str, text: str) -> None:
    """Run a page's Python, in a DAG with the tasks that it takes to be there."""
    os.chdir(folder)
    export = {"task_id": "export", "checkpoint": "gs://old/churn"}
    with DAG("page", schedule=None):
        names: dict[str, Any] = {
            "__name__": "documentation",
            "export": redraw_airflow.ExportSavedModelOperator(model="churn", **export),
            "validate": redraw_airflow.ValidateSavedModelOperator(
                model="churn", task_id="validated", saved_model={}
            ),
            "push": redraw_airflow.PushModelOperator(
                model="churn", task_id="pushed", saved_model={}, report={}
            ),
        }
        exec(compile(text, page, "exec"), names)  # noqa: S102 - it is the repository's own
