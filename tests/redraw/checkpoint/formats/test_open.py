"""What every format has in common, and how a URI finds its checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.checkpoint.formats.source import CheckpointSource, open_checkpoint
from redraw.checkpoint.objects.roles import Role, classify_tensors
from redraw.errors import CheckpointCorrupt, CheckpointNotFound


def move_all(source: CheckpointSource, prefix: Path) -> TensorBundle:
    """Move every tensor into a TensorBundle of small shards, and verify it."""
    with BundleWriter(prefix, 64) as writer:
        for key in source.entries:
            source.move(key, writer, key)
    bundle = TensorBundle(prefix)
    bundle.verify()
    return bundle


@pytest.mark.parametrize(
    ("name", "format_name"),
    [
        ("ckpt", "tensor_bundle"),
        ("saved_model", "tensor_bundle"),
        ("model.h5", "keras_h5"),
        ("weights.h5", "keras_h5"),
    ],
)
def test_open_files_of_keras_2_moves_every_value(
    name: str, format_name: str, keras_2_files: Any, tmp_path: Path
) -> None:
    source = open_checkpoint(keras_2_files.folder / name)
    assert source.format == format_name
    assert_moved(source, keras_2_files, tmp_path)


@pytest.mark.parametrize(
    ("name", "format_name"),
    [
        ("ckpt", "tensor_bundle"),
        ("model.keras", "keras"),
        ("model.weights.h5", "keras_weights"),
        ("legacy.h5", "keras_h5"),
    ],
)
def test_open_files_of_keras_3_moves_every_value(
    name: str, format_name: str, keras_3_files: Any, tmp_path: Path
) -> None:
    source = open_checkpoint(keras_3_files.folder / name)
    assert source.format == format_name
    assert_moved(source, keras_3_files, tmp_path)


def assert_moved(source: CheckpointSource, written: Any, tmp_path: Path) -> None:
    source.verify()
    moved = move_all(source, tmp_path / "moved")
    held = {moved.read_array(key).tobytes() for key in moved.entries}
    assert {value.tobytes() for value in written.values.values()} <= held
    if any(role is Role.MOVING_AVERAGE for role in classify_tensors(source.entries, source.graph).values()):
        assert {value.tobytes() for value in written.averages.values()} <= held
    for key, entry in source.entries.items():
        assert (moved.entries[key].dtype, moved.entries[key].shape) == (entry.dtype, entry.shape)
        np.testing.assert_array_equal(moved.read_array(key), source.read_array(key))


def test_open_v1_moves_every_value(v1_prefix: Path, tmp_path: Path) -> None:
    source = open_checkpoint(v1_prefix)
    assert source.format == "saver_v1"
    moved = move_all(source, tmp_path / "moved")
    assert sorted(moved.entries) == ["dense/kernel", "flags", "global_step"]
    assert moved.read_array("dense/kernel").tolist() == [[0, 1], [2, 3], [4, 5]]
    assert moved.read_array("flags").tolist() == [True, False]
    assert moved.read_array("global_step").item() == 42
    assert source.digest() == open_checkpoint(v1_prefix.parent).digest()


def test_open_v1_with_a_flipped_byte_names_it(v1_prefix: Path, tmp_path: Path) -> None:
    shutil.copytree(v1_prefix.parent, tmp_path / "copy")
    path = max((tmp_path / "copy").glob("old.ckpt-42*"), key=lambda file: "meta" not in file.name)
    content = bytearray(path.read_bytes())
    content[20] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(CheckpointCorrupt, match="expected the checksum"):
        open_checkpoint(tmp_path / "copy" / v1_prefix.name).verify()


def test_open_estimator_folder_of_another_machine_takes_the_newest(estimator_folder: Path) -> None:
    source = open_checkpoint(estimator_folder)
    assert source.uri == str(estimator_folder / "model.ckpt-300")
    assert source.read_array("dense/kernel")[0, 0] == 300


def test_open_estimator_folder_at_a_step_takes_that(estimator_folder: Path) -> None:
    assert open_checkpoint(estimator_folder, step=200).read_array("global_step").item() == 200
    with pytest.raises(
        CheckpointNotFound, match=r"expected a checkpoint of step 250, found steps 100, 200, 300"
    ):
        open_checkpoint(estimator_folder, step=250)


def test_open_estimator_folder_without_the_newest_says_what_is_there(
    estimator_folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(estimator_folder, copy, ignore=shutil.ignore_patterns("model.ckpt-300*"))
    with pytest.raises(
        CheckpointNotFound, match=r"'model.ckpt-300', which .* found model.ckpt-100, model.ckpt-200"
    ):
        open_checkpoint(copy)


@pytest.mark.parametrize("text", [b"\xff\xfe", b"model_checkpoint_path: 7 8", b""])
def test_open_folder_with_a_damaged_state_file_names_it(
    text: bytes, estimator_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(estimator_folder, tmp_path / "copy")
    (tmp_path / "copy" / "checkpoint").write_bytes(text)
    with pytest.raises(CheckpointCorrupt, match="copy/checkpoint"):
        open_checkpoint(tmp_path / "copy")


def test_open_files_with_an_empty_prefix_reads_them(tmp_path: Path) -> None:
    import tensorflow as tf

    tf.raw_ops.SaveV2(
        prefix=f"{tmp_path}/", tensor_names=["w"], shape_and_slices=[""], tensors=[np.float32([1, 2])]
    )
    for uri in (tmp_path, tmp_path / ".index"):
        assert open_checkpoint(uri).read_array("w").tolist() == [1, 2]


def test_open_partitioned_variable_is_read_and_moved_as_one(tmp_path: Path) -> None:
    import tensorflow as tf

    v1 = tf.compat.v1
    value = np.arange(20, dtype=np.float32).reshape(10, 2)
    with tf.Graph().as_default(), v1.Session() as session:
        table = v1.get_variable("table", value.shape, partitioner=v1.fixed_size_partitioner(3))
        session.run(table.assign(value))
        v1.train.Saver().save(session, str(tmp_path / "model.ckpt"), 1)
    source = open_checkpoint(tmp_path / "model.ckpt-1")
    assert {key: entry.shape for key, entry in source.entries.items()} == {"table": (10, 2)}
    moved = move_all(source, tmp_path / "moved")
    np.testing.assert_array_equal(moved.read_array("table"), value)
    (restored,) = tf.raw_ops.RestoreV2(
        prefix=str(tmp_path / "moved"), tensor_names=["table"], shape_and_slices=[""], dtypes=[tf.float32]
    )
    np.testing.assert_array_equal(restored, value)


def test_open_folder_of_several_lists_them(keras_3_files: Any) -> None:
    with pytest.raises(CheckpointNotFound, match=r"found ckpt, legacy.h5, model.keras, model.weights.h5"):
        open_checkpoint(keras_3_files.folder)


def test_open_nothing_says_so(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no checkpoint")
    for uri in (tmp_path, tmp_path / "nowhere", tmp_path / "notes.txt"):
        with pytest.raises(CheckpointNotFound, match="found none"):
            open_checkpoint(uri)


@pytest.mark.parametrize(("step", "count"), [(None, 2), (0, 2)])
def test_open_bundle_writes_nothing(step: int | None, count: int, tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "ckpt-0") as writer:
        writer.add_array("w", np.zeros(3))
    open_checkpoint(tmp_path, step=step).verify()
    assert len(list(tmp_path.iterdir())) == count


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def headless(content: bytes) -> bytes:
    return content[:8] + bytes(len(content) - 8)


@pytest.mark.parametrize("damage", [truncated, headless])
@pytest.mark.parametrize("name", ["model.weights.h5", "legacy.h5", "model.keras"])
def test_open_damaged_keras_file_is_refused(
    damage: Callable[[bytes], bytes], name: str, keras_3_files: Any, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(damage((keras_3_files.folder / name).read_bytes()))
    with pytest.raises(CheckpointCorrupt, match=name):
        open_checkpoint(path).verify()


def test_open_folder_of_a_training_run_says_where_its_checkpoints_are(tmp_path: Path) -> None:
    for name in ("run.json", "metrics.jsonl"):
        (tmp_path / name).touch()
    with pytest.raises(CheckpointNotFound, match=r"folder of a training run. Name .*/checkpoints\."):
        open_checkpoint(tmp_path)
