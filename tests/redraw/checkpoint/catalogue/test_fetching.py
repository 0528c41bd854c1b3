"""Checkpoints of any format, brought out of a bucket whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.checkpoint.catalogue import store
from redraw.checkpoint.catalogue.store import fetch_files
from redraw.checkpoint.formats.source import open_checkpoint
from redraw.errors import CheckpointCorrupt, CheckpointNotFound
from redraw.storage.opening import open_storage
from redraw.uri import Uri


def upload(folder: Path, uri: str) -> None:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        open_storage(uri).create(path.relative_to(folder).as_posix(), path)


def test_fetch_prefix_of_tf1_gives_what_tensorflow_reads(tf: Any, bucket: str, tmp_path: Path) -> None:
    for step in (1, 2):
        with BundleWriter(tmp_path / "run" / f"model.ckpt-{step}", 8) as writer:
            for key in ("a", "b"):
                writer.add_array(key, np.full(2, step, np.float32))
    upload(tmp_path / "run", f"{bucket}/run")
    prefix = fetch_files(Uri(f"{bucket}/run/model.ckpt-2"), tmp_path / "here")
    assert prefix == tmp_path / "here" / "model.ckpt-2"
    assert tf.train.load_checkpoint(str(prefix)).get_tensor("b").tolist() == [2, 2]
    names = sorted(path.name for path in prefix.parent.iterdir())
    data = [f"model.ckpt-2.data-{number:05d}-of-00002" for number in (0, 1)]
    assert names == [*data, "model.ckpt-2.index"]
    assert fetch_files(Uri(f"{bucket}/run"), tmp_path / "again", step=1).name == "model.ckpt-1"


def test_fetch_files_of_every_format_gives_the_same_tensors(
    keras_2_files: Any, keras_3_files: Any, v1_prefix: Path, bucket: str, tmp_path: Path
) -> None:
    upload(v1_prefix.parent, f"{bucket}/v1")
    upload(keras_2_files.folder / "saved_model", f"{bucket}/saved")
    for name in ("model.keras", "model.weights.h5", "legacy.h5"):
        open_storage(bucket).create(name, keras_3_files.folder / name)
    known = {
        "v1": v1_prefix,
        "saved": keras_2_files.folder / "saved_model",
        **{name: keras_3_files.folder / name for name in ("model.keras", "model.weights.h5", "legacy.h5")},
    }
    for name, local in known.items():
        fetched = fetch_files(Uri(f"{bucket}/{name}"), tmp_path / name)
        assert fetched.is_relative_to(tmp_path / name)
        assert open_checkpoint(fetched).digest() == open_checkpoint(local).digest()


def test_fetch_files_that_are_here_leaves_them_where_they_are(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "run" / "ckpt") as writer:
        writer.add_array("w", np.zeros(3))
    assert fetch_files(Uri(tmp_path / "run"), tmp_path / "scratch") == tmp_path / "run" / "ckpt"
    assert not (tmp_path / "scratch").exists()


def test_fetch_files_of_nothing_says_so(bucket: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFound, match="found none"):
        fetch_files(Uri(f"{bucket}/nowhere"), tmp_path)


@pytest.mark.parametrize("change", ["replaced", "removed"])
def test_fetch_files_that_change_meanwhile_is_refused(
    change: str, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with BundleWriter(tmp_path / "run" / "ckpt") as writer:
        writer.add_array("w", np.zeros(3))
    upload(tmp_path / "run", bucket)
    locate = store.locate_checkpoint

    def changing(uri: str, step: int | None) -> Any:
        located = locate(uri, step)
        (data,) = (file for file in located.files if ".data-" in file.name)
        if change == "removed":
            remove_object(f"{bucket}/{data.name}")
        else:
            open_storage(bucket).replace(data.name, b"other", data.generation)
        return located

    monkeypatch.setattr(store, "locate_checkpoint", changing)
    with pytest.raises(CheckpointCorrupt, match=r"ckpt\.data-00000-of-00001: the file was replaced"):
        fetch_files(Uri(f"{bucket}/ckpt"), tmp_path / "here")


def remove_object(uri: str) -> None:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    name, _, path = uri.removeprefix("gs://").partition("/")
    client = storage.Client(project="redraw", credentials=AnonymousCredentials())
    client.bucket(name).blob(path).delete()
