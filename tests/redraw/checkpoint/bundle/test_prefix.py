from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redraw.checkpoint.bundle.reader import TensorBundle, find_bundle_prefix
from redraw.errors import CheckpointCorrupt, CheckpointNotFound


def test_find_prefix_of_prefix_index_or_folder_finds_it(bundle: TensorBundle, tmp_path: Path) -> None:
    for given in (tmp_path / "ckpt-3", tmp_path / "ckpt-3.index", tmp_path):
        assert find_bundle_prefix(given) == tmp_path / "ckpt-3"


def test_find_prefix_of_files_without_a_name_finds_their_folder(tf: Any, tmp_path: Path) -> None:
    tf.raw_ops.SaveV2(
        prefix=f"{tmp_path}/",
        tensor_names=["w"],
        shape_and_slices=[""],
        tensors=[np.array([1, 2], np.float32)],
    )
    assert {path.name for path in tmp_path.iterdir()} == {".index", ".data-00000-of-00001"}
    prefix = find_bundle_prefix(tmp_path)
    assert prefix == find_bundle_prefix(tmp_path / ".index") == tmp_path
    bundle = TensorBundle(prefix)
    bundle.verify()
    assert bundle.read_array("w").tolist() == [1, 2]
    assert bundle.shard_paths == (tmp_path / ".data-00000-of-00001",)


def test_find_prefix_in_folder_of_several_lists_them(bundle: TensorBundle, tmp_path: Path) -> None:
    shutil.copy(bundle.index_path, tmp_path / "ckpt-4.index")
    with pytest.raises(CheckpointNotFound, match="found ckpt-3, ckpt-4"):
        find_bundle_prefix(tmp_path)


def test_find_prefix_in_empty_folder_or_nowhere_fails(tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFound, match="found none"):
        find_bundle_prefix(tmp_path)
    with pytest.raises(CheckpointNotFound, match="found neither"):
        find_bundle_prefix(tmp_path / "nowhere")


def test_find_prefix_of_index_without_data_fails(bundle: TensorBundle, tmp_path: Path) -> None:
    for path in bundle.shard_paths:
        path.unlink()
    for given in (tmp_path, tmp_path / "ckpt-3"):
        with pytest.raises(CheckpointCorrupt, match="found only the index file"):
            find_bundle_prefix(given)
