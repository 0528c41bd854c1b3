"""Partitioned variables that a Saver was given part by part, read as one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.checkpoint.formats.parts import find_joined, join_parts
from redraw.checkpoint.formats.source import open_checkpoint
from redraw.checkpoint.objects.roles import Role, classify_tensors

VALUE = np.arange(28, dtype=np.float32).reshape(7, 4)


def save_parts(tf: Any, prefix: Path, *, axis: int = 0, version: str = "V2") -> Path:
    """A variable of two parts with Adam's slots, by a Saver that is given each operation's variable."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        partitioner = v1.fixed_size_partitioner(2, axis)
        whole = v1.get_variable("w", VALUE.shape, partitioner=partitioner, use_resource=version == "V2")
        train = v1.train.AdamOptimizer().minimize(tf.reduce_sum(tf.convert_to_tensor(whole) ** 2))
        saver = v1.train.Saver(
            {variable.op.name: variable for variable in v1.global_variables()},
            write_version=getattr(v1.train.SaverDef, version),
        )
        session.run(v1.global_variables_initializer())
        session.run(train)
        start = 0
        for part in whole:
            length = part.shape[axis]
            part.load(VALUE.take(range(start, start + length), axis), session)
            start += length
        saver.save(session, str(prefix), write_meta_graph=False)
    return prefix


@pytest.mark.parametrize("axis", [0, 1])
def test_join_parts_that_a_saver_wrote_gives_one_tensor(axis: int, tf: Any, tmp_path: Path) -> None:
    source = open_checkpoint(save_parts(tf, tmp_path / "model.ckpt", axis=axis))
    assert {"w/part_0", "w/part_1", "w/part_0/Adam"} <= source.entries.keys()
    joined = join_parts(source, {"w": VALUE.shape})
    assert {key for key in joined.entries if key.startswith("w")} == {"w", "w/Adam", "w/Adam_1"}
    np.testing.assert_array_equal(joined.read_array("w"), VALUE)
    assert joined.read_array("w/Adam").shape == VALUE.shape
    assert joined.digest() == source.digest()
    assert (joined.uri, joined.format, joined.files) == (source.uri, source.format, source.files)
    joined.verify()
    roles = classify_tensors(joined.entries, None)
    assert [roles[key] for key in ("w", "w/Adam")] == [Role.MODEL_WEIGHT, Role.SLOT_VARIABLE]
    with BundleWriter(tmp_path / "moved") as writer:
        for key in ("w", "beta1_power"):
            joined.move(key, writer, f"served/{key}")
    TensorBundle(tmp_path / "moved").verify()
    restored = tf.train.load_checkpoint(str(tmp_path / "moved"))
    np.testing.assert_array_equal(restored.get_tensor("served/w"), VALUE)
    np.testing.assert_allclose(restored.get_tensor("served/beta1_power"), 0.81)


def test_join_parts_of_saver_v1_gives_one_tensor(tf: Any, tmp_path: Path) -> None:
    source = join_parts(open_checkpoint(save_parts(tf, tmp_path / "old.ckpt-1", version="V1")), {})
    assert source.format == "saver_v1"
    np.testing.assert_array_equal(source.read_array("w"), VALUE)
    with BundleWriter(tmp_path / "moved") as writer:
        source.move("w", writer, "w")
    np.testing.assert_array_equal(TensorBundle(tmp_path / "moved").read_array("w"), VALUE)


def entries_of(tmp_path: Path, **arrays: np.ndarray) -> Any:
    with BundleWriter(tmp_path / "ckpt") as writer:
        for key, array in arrays.items():
            writer.add_array(key, array)
    return TensorBundle(tmp_path / "ckpt").entries


def test_find_joined_equal_parts_are_put_together_as_they_are_wanted(tmp_path: Path) -> None:
    half = np.zeros((3, 4), np.float32)
    entries = entries_of(tmp_path, **{"w/part_0": half, "w/part_1": half, "w/part_0/Adam": half,
                                      "w/part_1/Adam": half})  # fmt: skip
    for wanted, shape in (({}, (6, 4)), ({"w": (6, 4)}, (6, 4)), ({"w": (3, 8)}, (3, 8))):
        joined = find_joined(entries, wanted)
        assert {name: whole.entry.shape for name, whole in joined.items()} == {"w": shape, "w/Adam": shape}


@pytest.mark.parametrize(
    ("shapes", "wanted"),
    [
        ({"w/part_0": (2, 4)}, {}),
        ({"w/part_0": (2, 4), "w/part_2": (2, 4)}, {}),
        ({"w/part_1": (2, 4), "w/part_2": (2, 4)}, {}),
        ({"w/part_0": (2, 4), "w/part_1": (3, 5)}, {}),
        ({"w/part_0": (2, 4), "w/part_1": (2,)}, {}),
        ({"w/part_0": (), "w/part_1": ()}, {}),
        ({"w/part_0": (2, 4), "w/part_1": (2, 4), "w": (4, 4)}, {}),
        ({"w/part_0": (2, 4), "w/part_1": (2, 4)}, {"w/part_1": (2, 4)}),
    ],
    ids=["one", "gap", "no_first", "two_dims", "two_ranks", "scalars", "whole_too", "asked_for_apart"],
)
def test_find_joined_what_makes_up_no_whole_is_left_apart(
    shapes: dict[str, tuple[int, ...]], wanted: dict[str, tuple[int, ...]], tmp_path: Path
) -> None:
    arrays = {key: np.zeros(shape, np.float32) for key, shape in shapes.items()}
    assert find_joined(entries_of(tmp_path, **arrays), wanted) == {}


def test_find_joined_parts_of_two_dtypes_are_left_apart(tmp_path: Path) -> None:
    arrays = {"w/part_0": np.zeros(2, np.float32), "w/part_1": np.zeros(2, np.float64)}
    assert find_joined(entries_of(tmp_path, **arrays), {}) == {}
