"""Weights of Keras in shards, parts of saves that died, and other libraries' shards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from redraw.checkpoint.catalogue.adopt import adopt_checkpoints
from redraw.checkpoint.catalogue.bare import find_step
from redraw.checkpoint.formats.locate import step_in_name
from redraw.checkpoint.formats.source import open_checkpoint
from redraw.checkpoint.objects.object_graph import variables_from
from redraw.errors import CheckpointCorrupt, CheckpointNotFound
from redraw.records.results import AdoptionReport
from redraw.requests import AdoptRequest
from tests.kits import forget_names

# Keras saves by an old form of NumPy's protocol.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")

INDEX = "net-7.weights.json"


@pytest.fixture
def network() -> keras.Model:
    forget_names()
    layers = (keras.layers.Dense(16, name=f"d{i}") for i in range(3))
    return keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(1, name="y")])


@pytest.fixture(params=[2e-6, 1.0], ids=["shards", "one"])
def sharded(request: pytest.FixtureRequest, network: keras.Model, tmp_path: Path) -> Path:
    """A folder with an index and its shards, one or several."""
    (tmp_path / "saved").mkdir()
    network.save_weights(tmp_path / "saved" / INDEX, max_shard_size=request.param)
    return tmp_path / "saved"


def adopt(folder: Path, catalogue: Path) -> AdoptionReport:
    return adopt_checkpoints(
        AdoptRequest(model="wide", source=str(folder), catalogue=str(catalogue), recursive=True)
    )


@pytest.mark.parametrize("place", [INDEX, ""])
def test_open_shards_hold_what_one_file_holds(
    place: str, sharded: Path, network: keras.Model, tmp_path: Path
) -> None:
    network.save_weights(tmp_path / "whole.weights.h5")
    source, whole = open_checkpoint(sharded / place), open_checkpoint(tmp_path / "whole.weights.h5")
    assert source.format == "keras_weights"
    assert source.entries.keys() == whole.entries.keys()
    assert set(variables_from(source.graph, 0)) == set(variables_from(whole.graph, 0))
    assert source.digest() == whole.digest()
    for key in whole.entries:
        np.testing.assert_array_equal(source.read_array(key), whole.read_array(key))


def test_adopt_shards_are_one_checkpoint(sharded: Path, tmp_path: Path) -> None:
    report = adopt(sharded, tmp_path / "catalogue")
    ((found,), broken) = report.adopted, report.broken
    assert (found.step, broken) == (7, ())
    (folder,) = (tmp_path / "catalogue" / "wide").iterdir()
    assert open_checkpoint(folder / INDEX).digest() == found.digest
    assert adopt(sharded, tmp_path / "catalogue").known == 1


@pytest.fixture
def index(network: keras.Model, tmp_path: Path) -> Iterator[Path]:
    network.save_weights(tmp_path / INDEX, max_shard_size=2e-6)
    yield tmp_path / INDEX
    assert not list(tmp_path.glob("elsewhere*"))


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"weight_map": {}}',
        b'{"weight_map": {"/a": 3}}',
        b'{"weight_map": {"/a": ["../elsewhere_00000.weights.h5"]}}',
        b'{"weight_map": {"/a": ["/etc/passwd"]}}',
        b"[" * 100_000,
    ],
)
def test_open_shards_damaged_index_is_one_line(content: bytes, index: Path) -> None:
    index.write_bytes(content)
    with pytest.raises(CheckpointCorrupt, match=f"{INDEX}"):
        open_checkpoint(index)


def test_open_shards_missing_shard_is_named(index: Path) -> None:
    (first, *_) = sorted(index.parent.glob("*.h5"))
    first.unlink()
    with pytest.raises(CheckpointCorrupt, match=f"no {first.name}"):
        open_checkpoint(index)


def test_open_numbered_files_without_an_index_are_checkpoints(network: keras.Model, tmp_path: Path) -> None:
    """Such names may count epochs as well."""
    for epoch in (1, 2):
        network.layers[0].bias.assign_add(np.ones(16))
        network.save_weights(tmp_path / f"net_{epoch:05}.weights.h5")
    assert len(adopt(tmp_path, tmp_path / "catalogue").adopted) == 2


def test_adopt_parts_of_a_dead_save_are_no_checkpoints(tmp_path: Path) -> None:
    left = tmp_path / "model.ckpt-500_temp_ab12"
    left.mkdir()
    for prefix, step in ((left / "part-00000-of-00003", 500), (tmp_path / "model.ckpt-400", 400)):
        tf.raw_ops.SaveV2(
            prefix=str(prefix),
            tensor_names=["global_step", "w"],
            shape_and_slices=["", ""],
            tensors=[tf.constant(step, tf.int64), tf.ones([3])],
        )
    report = adopt(tmp_path, tmp_path / "catalogue")
    assert [found.step for found in report.adopted] == [400]
    assert not report.broken
    with pytest.raises(CheckpointCorrupt, match="from an interrupted save"):
        open_checkpoint(left / "part-00000-of-00003")
    with pytest.raises(CheckpointNotFound, match="found none"):
        open_checkpoint(left)


def test_open_shard_of_another_library_is_no_checkpoint(network: keras.Model, tmp_path: Path) -> None:
    network.save_weights(tmp_path / "w.weights.h5")
    (tmp_path / "w.weights.h5").rename(tmp_path / "tf_model-00001-of-00002.h5")
    with pytest.raises(CheckpointCorrupt, match="a shard of another library"):
        open_checkpoint(tmp_path / "tf_model-00001-of-00002.h5")


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("model.ckpt-120", 120),
        ("net-120.weights.json", 120),
        ("net-120.keras", 120),
        ("part-00000-of-00003", None),
        ("tf_model-00001-of-00002.h5", None),
        ("model.ckpt-500_temp_ab12/part-00001-of-00003", None),
    ],
)
def test_step_in_name(name: str, step: int | None) -> None:
    assert step_in_name(name) == step


@pytest.mark.parametrize("form", ["keras", "weights.h5", "tf"])
def test_find_step_of_scaled_losses_is_the_inner_optimizers(form: str, tmp_path: Path) -> None:
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    network.compile(optimizer, "mse")
    optimizer.build(network.trainable_variables)
    optimizer.inner_optimizer.iterations.assign(119)
    place = tmp_path / f"net.{form}"
    if form == "tf":
        place = Path(tf.train.Checkpoint(model=network, optimizer=optimizer).write(str(tmp_path / "ckpt")))
    elif form == "keras":
        network.save(place)
    else:
        network.save_weights(place)
    assert find_step(open_checkpoint(place)) == 119


@pytest.mark.parametrize(
    ("name", "counts", "step", "said"),
    [
        ("ckpt-40", {"one": 40, "two": 40}, 40, False),
        ("ckpt", {"one": 7, "two": 40}, 40, False),
        ("ckpt-40", {"one": 0, "two": 0}, 40, False),
        ("ckpt-39", {"one": 40}, 40, True),
        ("ckpt-40", {"step": 40, "one": 500}, 40, True),
        ("ckpt", {"step": 0, "one": 500}, 500, False),
        ("ckpt", {"step": 0}, 0, False),
    ],
)
def test_find_step_takes_the_largest_count_and_names_what_differs(
    name: str,
    counts: dict[str, int],
    step: int,
    said: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    held: dict[str, tf.Module | tf.Variable] = {}
    for optimizer, count in counts.items():
        if optimizer == "step":
            held["step"] = tf.Variable(count, dtype=tf.int64)
        else:
            held[optimizer] = keras.optimizers.SGD()
            held[optimizer].build([])
            held[optimizer].iterations.assign(count)
    prefix = tf.train.Checkpoint(**held).write(str(tmp_path / name))
    assert find_step(open_checkpoint(prefix)) == step
    assert ("expected one step, got" in caplog.text) == said


def test_shard_names_are_those_of_the_index(index: Path) -> None:
    listed = json.loads(index.read_text())["weight_map"].values()
    assert len({name for names in listed for name in names}) > 1
