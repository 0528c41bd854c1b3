"""What files hold and what would be refused of them is said without TensorFlow, local and in a bucket."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from redraw.errors import CheckpointCorrupt, CheckpointNotFound
from redraw.heal.scan import print_scanned, scan_files
from redraw.records.results import ScannedFiles
from redraw.requests import ScanRequest
from redraw.storage.opening import open_storage
from tests.redraw.heal.saved_models import dropout, no_signatures, python_behind
from tests.redraw.recorded.old_graphs import Case, record

tf1 = tf.compat.v1

_SCAN = """
import json, sys
from redraw.__main__ import main
for path in sys.argv[1:]:
    assert main(["scan", path]) == 0
assert "tensorflow" not in sys.modules and "keras" not in sys.modules, "imported"
"""


def scanned(uri: Any) -> ScannedFiles:
    return scan_files(ScanRequest.from_json({"uri": str(uri)}))


def test_scan_of_every_kind_imports_no_tensorflow(tmp_path: Path) -> None:
    dropout(tmp_path / "model")
    recorded = record(Case("queue", "greater", "constant", "fused"), tmp_path / "run")
    import keras

    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NumPy about Keras
        net.save(tmp_path / "net.keras")
        net.save_weights(tmp_path / "net.weights.h5")
    paths = [tmp_path / "model", recorded.prefix, recorded.meta, tmp_path / "net.keras"]
    paths += [tmp_path / "net.weights.h5"]

    done = subprocess.run(
        [sys.executable, "-c", _SCAN, *map(str, paths)], capture_output=True, text=True, timeout=300
    )

    assert done.returncode == 0, done.stderr[-2000:]
    kinds = [json.loads(line)["kind"] for line in done.stdout.splitlines()]
    assert kinds == ["SavedModel", "tensor_bundle", "recording", "keras", "keras_weights"]


def test_scan_of_a_saved_model_names_each_problem_by_its_check(tmp_path: Path) -> None:
    dropout(tmp_path / "alive")
    python_behind(tmp_path / "python")
    no_signatures(tmp_path / "silent")

    assert {one.check for one in scanned(tmp_path / "alive").refused} == {"inference-ops"}
    assert scanned(tmp_path / "alive").holds[:2] == (
        "signature 'embed': x to hidden",
        "signature 'serving_default': x to scores",
    )
    python = {one.check: one.heals for one in scanned(tmp_path / "python").refused}
    assert python["host-code"] is False
    assert [one.check for one in scanned(tmp_path / "silent").refused] == ["signatures"]


def test_scan_of_a_recording_says_what_it_holds_and_whose_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded = record(Case("queue", "greater", "constant", "fused"), tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "other")
    meta = tf1.MetaGraphDef.FromString(recorded.meta.read_bytes())
    node = meta.graph_def.node.add(name="old", op="BigQueryReader")
    node.attr["size"].i = 1
    (tmp_path / "other" / recorded.meta.name).write_bytes(meta.SerializeToString())
    with tf.Graph().as_default(), tf1.Session() as session:
        variable = tf1.get_variable("another", initializer=np.ones(3, np.float32))
        session.run(variable.initializer)
        tf1.train.Saver([variable]).save(
            session, str(tmp_path / "other" / recorded.prefix.name), write_meta_graph=False
        )

    found = scanned(recorded.prefix)
    other = scanned(tmp_path / "other" / recorded.prefix.name)

    text = " ".join(found.holds)
    for part in ("redraw draft", "queues and iterators: ", "random operations: ", "batch normalizations"):
        assert part in text
    assert not found.refused
    assert [one.check for one in other.refused] == ["known-ops", "CheckpointMismatch"]
    print_scanned(other)
    assert "CheckpointMismatch: the checkpoint lacks 'bn/" in capsys.readouterr().out


def test_scan_in_a_bucket_and_of_a_v1_checkpoint_next_to_its_recording(bucket: str, tmp_path: Path) -> None:
    recorded = record(Case(), tmp_path / "run")
    folder = tmp_path / "v1"
    folder.mkdir()
    with tf.Graph().as_default(), tf1.Session() as session:
        saver = tf1.train.import_meta_graph(str(recorded.meta))
        saver.restore(session, str(recorded.prefix))
        tf1.train.Saver(write_version=1).save(session, str(folder / "model.ckpt-3"))
    storage = open_storage(bucket)
    for path in folder.iterdir():
        storage.create(f"old/{path.name}", path)

    found = scanned(f"{bucket}/old/model.ckpt-3")

    assert found.kind == "saver_v1"
    assert "redraw draft" in " ".join(found.holds)
    assert not found.refused


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("model.meta", b"", CheckpointCorrupt),
        ("model.meta", b"\x12\xff\xff\xff\x0f", CheckpointCorrupt),
        ("graph.pbtxt", b"node { name: ", CheckpointCorrupt),
        ("graph.pbtxt", b"\xff\xfe", CheckpointCorrupt),
        ("saved_model.pb", b"\x12\x84", CheckpointCorrupt),
        ("saved_model.pb", b"", CheckpointCorrupt),
        ("nothing", b"", CheckpointNotFound),
    ],
)
def test_scan_of_damaged_files_is_one_clear_line(
    name: str, content: bytes, error: type[Exception], tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(error) as refused:
        scanned(tmp_path / name)

    assert "\n" not in str(refused.value)
