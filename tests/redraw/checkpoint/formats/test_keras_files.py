"""What Keras' files may hold in addition to plain weights."""

from __future__ import annotations

import os
import tracemalloc
import warnings
import zipfile
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import pytest

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.checkpoint.formats.archive import ArchiveSource
from redraw.checkpoint.formats.source import open_checkpoint
from redraw.errors import CheckpointCorrupt, CheckpointMismatch


def test_open_archive_that_was_packed_again_reads_the_same(keras_3_files: Any, tmp_path: Path) -> None:
    original = keras_3_files.folder / "model.keras"
    with (
        zipfile.ZipFile(original) as archive,
        zipfile.ZipFile(tmp_path / "packed.keras", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in archive.namelist():
            packed.writestr(name, archive.read(name))
    assert open_checkpoint(tmp_path / "packed.keras").digest() == open_checkpoint(original).digest()


def test_open_archive_names_the_code_that_it_would_run(tmp_path: Path) -> None:
    import keras

    @keras.saving.register_keras_serializable(package="ours")
    class Scale(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return x * 2

    x = keras.Input((2,))
    keras.Model(x, Scale()(keras.layers.Lambda(lambda y: y + 1)(x))).save(tmp_path / "code.keras")
    source = open_checkpoint(tmp_path / "code.keras")
    assert isinstance(source, ArchiveSource)
    assert "Lambda" in source.foreign_classes
    assert "ours>Scale" in source.foreign_classes


def test_open_archive_of_kerass_own_layers_names_none(keras_3_files: Any) -> None:
    source = open_checkpoint(keras_3_files.folder / "model.keras")
    assert isinstance(source, ArchiveSource)
    assert source.foreign_classes == ()


@pytest.mark.parametrize("missing", ["config.json", "model.weights.h5"])
def test_open_archive_without_a_part_is_refused(missing: str, keras_3_files: Any, tmp_path: Path) -> None:
    path = tmp_path / "part.keras"
    with zipfile.ZipFile(keras_3_files.folder / "model.keras") as archive, zipfile.ZipFile(path, "w") as part:
        for name in archive.namelist():
            if name != missing:
                part.writestr(name, archive.read(name))
    with pytest.raises(CheckpointCorrupt, match=rf"expected an archive with .*{missing}"):
        open_checkpoint(path)


def test_open_bfloat16_of_keras_3_keeps_its_dtype(tmp_path: Path) -> None:
    import keras

    layer = keras.layers.Dense(3, dtype="bfloat16", name="dense")
    model = keras.Sequential([keras.Input((4,)), layer])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras' own, of NumPy 2
        model.save_weights(tmp_path / "model.weights.h5")
    source = open_checkpoint(tmp_path / "model.weights.h5")
    value = source.read_array("layers/dense/vars/0")
    assert source.entries["layers/dense/vars/0"].dtype == "bfloat16"
    np.testing.assert_array_equal(value, layer.kernel.numpy().astype(ml_dtypes.bfloat16))


def test_open_archive_reads_the_words_of_each_layer_and_names_other_assets(tmp_path: Path) -> None:
    import keras

    layers = [keras.layers.StringLookup(name=name) for name in WORDS]
    for layer in layers:
        layer.set_vocabulary(WORDS[layer.name])
    given = [keras.Input((1,), dtype="string") for _ in layers]
    model = keras.Model(given, [layer(x) for layer, x in zip(layers, given, strict=True)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras' own, of NumPy 2
        model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras", "a") as archive:
        for name in ("assets/own/", "assets/own/words.bin", "assets/none/vocabulary.txt"):
            archive.writestr(name, "")
    source = open_checkpoint(tmp_path / "model.keras")
    assert isinstance(source, ArchiveSource)
    assert {name: words[-2:] for name, words in source.vocabularies().items()} == WORDS
    assert source.other_assets() == ("assets/own/words.bin",)


WORDS = {"countries": ("CH", "DE"), "words": ("a", "the")}


@pytest.mark.parametrize("kind", ["link", "storage", "virtual"])
def test_open_file_that_points_to_another_is_refused(kind: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(os.urandom(64))
    path = tmp_path / "model.weights.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/dense/vars")
        if kind == "link":
            group["0"] = h5py.ExternalLink(str(secret), "/x")
        elif kind == "storage":
            group.create_dataset("0", (16,), "f4", external=[(str(secret), 0, 64)])
        else:
            layout = h5py.VirtualLayout((16,), "f4")
            layout[:] = h5py.VirtualSource(str(secret), "x", (16,))
            group.create_virtual_dataset("0", layout)
    with pytest.raises(CheckpointMismatch, match="'layers/dense/vars/0': .* a link to another file"):
        open_checkpoint(path)


@pytest.mark.parametrize("chunks", [None, (100, 1000)])
def test_move_large_dataset_holds_a_small_part_of_it(chunks: tuple[int, int] | None, tmp_path: Path) -> None:
    value = np.random.default_rng(0).random((10_000, 1000), np.float32)
    with h5py.File(tmp_path / "model.weights.h5", "w") as file:
        packing = "gzip" if chunks else None
        file.create_dataset("layers/dense/vars/0", data=value, chunks=chunks, compression=packing)
    source = open_checkpoint(tmp_path / "model.weights.h5")
    tracemalloc.start()
    with BundleWriter(tmp_path / "moved") as writer:
        source.move("layers/dense/vars/0", writer, "w")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < value.nbytes / 2
    np.testing.assert_array_equal(TensorBundle(tmp_path / "moved").read_array("w"), value)
