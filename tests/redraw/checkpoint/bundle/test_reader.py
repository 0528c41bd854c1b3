from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from redraw.checkpoint.bundle.dtypes import numpy_dtype
from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.errors import CheckpointCorrupt, CheckpointMismatch, CheckpointNotFound
from tests.redraw.dtypes import NUMBERS

SaveTensors = Callable[..., Path]

DTYPES = [*NUMBERS, "int4", "uint4"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_read_array_of_each_dtype_gives_what_tensorflow_saved(
    tmp_path: Path, save_tensors: SaveTensors, tf: Any, dtype: str
) -> None:
    value = np.array([[0, 1, 1], [1, 0, 1]]).astype(numpy_dtype(dtype))
    prefix = save_tensors(tmp_path / "ckpt", ("value", value))
    bundle = TensorBundle(prefix)
    bundle.verify()
    entry = bundle.entries["value"]
    assert (entry.dtype, entry.shape) == (tf.dtypes.as_dtype(dtype).name, (2, 3))
    np.testing.assert_array_equal(bundle.read_array("value"), value)
    assert bundle.read_array("value").dtype == value.dtype
    assert bundle.read_bytes("value") == value.tobytes()


@pytest.mark.parametrize(
    "value",
    [
        np.array(b"one", object),
        np.array([], object),
        np.array([[b"", b"\x00\xff"], ["ä".encode(), b"x" * 300]], object),
        np.array([b"word %d" % number for number in range(70_000)] + [b"y" * 2_000_000], object),
    ],
    ids=["scalar", "empty", "any_bytes", "more_than_a_chunk"],
)
def test_read_array_of_strings_gives_what_tensorflow_saved(
    tmp_path: Path, save_tensors: SaveTensors, tf: Any, value: np.ndarray
) -> None:
    prefix = save_tensors(tmp_path / "ckpt", ("text", tf.constant(value, tf.string)))
    bundle = TensorBundle(prefix)
    bundle.verify()
    read = bundle.read_array("text")
    assert read.shape == value.shape
    assert read.tolist() == value.tolist()


def test_read_quantized_and_empty_tensors_gives_what_tensorflow_saved(
    tmp_path: Path, save_tensors: SaveTensors, tf: Any
) -> None:
    quantized = tf.quantization.quantize(tf.constant([0.0, 1.0]), 0.0, 1.0, tf.quint8).output
    prefix = save_tensors(tmp_path / "ckpt", ("q", quantized), ("none", np.zeros((0, 4), np.int32)))
    bundle = TensorBundle(prefix)
    bundle.verify()
    assert bundle.entries["q"].dtype == "quint8"
    assert bundle.read_array("q").tolist() == [0, 255]
    assert bundle.read_array("none").shape == (0, 4)


def test_read_partitioned_variable_of_a_saver_gives_the_whole(tf: Any, tmp_path: Path) -> None:
    v1 = tf.compat.v1
    value = np.arange(70 * 3, dtype=np.float32).reshape(70, 3)
    with tf.Graph().as_default(), v1.Session() as session:
        with v1.variable_scope("embedding", partitioner=v1.fixed_size_partitioner(4)):
            v1.get_variable("table", initializer=lambda shape, **_: tf.zeros(shape), shape=(70, 3))
        v1.get_variable("bias", initializer=np.array([1, 2], np.float32))
        session.run(v1.global_variables_initializer())
        start = 0
        for part in v1.global_variables("embedding"):
            session.run(v1.assign(part, value[start : start + part.shape[0]]))
            start += part.shape[0]
        prefix = Path(v1.train.Saver().save(session, str(tmp_path / "model"), global_step=12))
    bundle = TensorBundle(prefix)
    bundle.verify()
    assert list(bundle.entries) == ["bias", "embedding/table"]
    entry = bundle.entries["embedding/table"]
    assert (entry.shape, len(entry.slices), entry.size) == ((70, 3), 4, value.nbytes)
    np.testing.assert_array_equal(bundle.read_array("embedding/table"), value)
    assert bundle.read_bytes("embedding/table") == value.tobytes()


def test_read_slices_along_two_axes_gives_the_whole(tmp_path: Path, save_tensors: SaveTensors) -> None:
    value = np.arange(5 * 4).reshape(5, 4)
    text = np.array([[b"a", b"bb"], [b"ccc", b"d"]], object)
    prefix = save_tensors(
        tmp_path / "ckpt",
        *(
            ("grid", f"5 4 {a},{m}:{b},{n}", value[a : a + m, b : b + n])
            for a, m in ((0, 3), (3, 2))
            for b, n in ((0, 1), (1, 3))
        ),
        ("text", "2 2 0,1:-", text[:1].astype("S")),
        ("text", "2 2 1,1:-", text[1:].astype("S")),
    )
    bundle = TensorBundle(prefix)
    bundle.verify()
    np.testing.assert_array_equal(bundle.read_array("grid"), value)
    assert bundle.read_array("text").tolist() == text.tolist()
    with pytest.raises(CheckpointMismatch, match="read_array"):
        bundle.read_bytes("text")


def test_verify_iterator_state_holds_its_checksum_and_reading_is_refused(tf: Any, tmp_path: Path) -> None:
    iterator = iter(tf.data.Dataset.range(9).shuffle(4, seed=1))
    next(iterator)
    bundle = TensorBundle(Path(tf.train.Checkpoint(iterator=iterator).write(str(tmp_path / "ckpt"))))
    bundle.verify()
    key = "iterator/.ATTRIBUTES/ITERATOR_STATE"
    with pytest.raises(CheckpointMismatch, match=f"tensor '{key}'.*got variant"):
        bundle.read_array(key)
    entry = bundle.entries[key]
    content = bytearray(bundle.shard_paths[0].read_bytes())
    content[entry.offset + entry.size // 2] ^= 1
    bundle.shard_paths[0].write_bytes(content)
    with pytest.raises(CheckpointCorrupt, match=key):
        bundle.verify()


def test_read_keys_of_any_bytes_gives_the_same_keys(
    tmp_path: Path, restore_tensor: Callable[..., np.ndarray], save_tensors: SaveTensors
) -> None:
    names = [b"\xff\xfe", b"\x00zero", "größe".encode(), b"a b/\x7f"]
    prefix = save_tensors(tmp_path / "ckpt", *((name, np.int32(n)) for n, name in enumerate(names)))
    bundle = TensorBundle(prefix)
    bundle.verify()
    found = {key.encode("utf-8", "surrogateescape"): int(bundle.read_array(key)) for key in bundle.entries}
    assert found == {name: n for n, name in enumerate(names)}
    with BundleWriter(tmp_path / "copy") as writer:
        for entry in bundle.entries.values():
            writer.copy(entry, bundle)
    assert [int(restore_tensor(tmp_path / "copy", name, "int32")) for name in names] == [0, 1, 2, 3]


def test_digest_of_same_tensors_in_other_shards_is_the_same(tmp_path: Path) -> None:
    tensors = {f"w{n}": np.full((40, 3), n, np.float32) for n in range(5)}
    for name, size, order in (("one", 1 << 20, list(tensors)), ("many", 500, sorted(tensors, reverse=True))):
        with BundleWriter(tmp_path / name, size) as writer:
            for key in order:
                writer.add_array(key, tensors[key])
    one, many = TensorBundle(tmp_path / "one"), TensorBundle(tmp_path / "many")
    assert (one.num_shards, many.num_shards) == (1, 5)
    assert one.digest() == many.digest()
    assert len(one.digest()) == 64


@pytest.mark.parametrize(
    "tensors",
    [
        {"w": np.array([1, 2], np.float32)},
        {"w": np.array([1, 2], np.int32), "v": np.float32(0)},
        {"w": np.array([[1, 2]], np.float32), "v": np.float32(0)},
        {"w": np.array([1, 3], np.float32), "v": np.float32(0)},
        {"u": np.array([1, 2], np.float32), "v": np.float32(0)},
    ],
    ids=["fewer", "dtype", "shape", "value", "key"],
)
def test_digest_of_other_tensors_differs(tmp_path: Path, tensors: dict[str, np.ndarray | np.generic]) -> None:
    usual: dict[str, np.ndarray | np.generic] = {"w": np.array([1, 2], np.float32), "v": np.float32(0)}
    for name, content in (("a", usual), ("b", tensors)):
        with BundleWriter(tmp_path / name) as writer:
            for key, value in content.items():
                writer.add_array(key, value)
    assert TensorBundle(tmp_path / "a").digest() != TensorBundle(tmp_path / "b").digest()


def write_partitioned(prefix: Path, last: float, cut: int = 2) -> TensorBundle:
    """`table` in two parts, 0 and up, the last value as given; and `b`."""
    table = np.array([0, 1, 2, 3, 4, last], np.float32).reshape(3, 2)
    with BundleWriter(prefix) as writer:
        writer.add_slice("table", table.shape, (0, 0), table[:cut])
        writer.add_slice("table", table.shape, (cut, 0), table[cut:])
        writer.add_array("b", np.array([b"one", b"two"], object))
    return TensorBundle(prefix)


def test_digest_of_a_partitioned_tensor_depends_on_its_values_and_its_parts(tmp_path: Path) -> None:
    usual = write_partitioned(tmp_path / "usual", 5.0).digest()
    assert write_partitioned(tmp_path / "again", 5.0).digest() == usual
    assert write_partitioned(tmp_path / "other_value", 6.0).digest() != usual
    assert write_partitioned(tmp_path / "other_parts", 5.0, cut=1).digest() != usual


def test_digest_is_that_of_earlier_versions(tmp_path: Path) -> None:
    """Catalogues and releases name checkpoints by it: for the same tensors it may never be another one."""
    assert write_partitioned(tmp_path / "ckpt", 5.0).digest() == (
        "d4b28b08172f9b936b89f03d3389c513e581f97316a8aed33ce7e67a66a51311"
    )


def test_verify_reports_every_byte_as_progress(bundle: TensorBundle) -> None:
    seen: list[int] = []
    bundle.verify(seen.append)
    assert sum(seen) == bundle.tensor_bytes == 3 * 4000 + 11


def test_open_absent_checkpoint_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFound, match=r"none\.index, found no such file.*Name the prefix"):
        TensorBundle(tmp_path / "none")


def test_read_array_of_other_byte_orders_is_little_endian(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "ckpt") as writer:
        writer.add_array("big", np.array([1, 2], ">i4"))
        writer.add_array("b16", np.array([1, 2], ml_dtypes.bfloat16)[::-1])
    bundle = TensorBundle(tmp_path / "ckpt")
    assert bundle.read_bytes("big") == b"\1\0\0\0\2\0\0\0"
    assert bundle.read_array("b16").tolist() == [2, 1]
