"""Any tensors, there and back, with TensorFlow on one side each time."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from redraw.checkpoint.bundle.dtypes import numpy_dtype
from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.bundle.writer import BundleWriter
from tests.redraw.dtypes import NUMBERS

SaveTensors = Callable[..., Path]
RestoreTensor = Callable[..., np.ndarray]

KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)


@st.composite
def arrays(draw: st.DrawFn) -> tuple[str, np.ndarray]:
    shape = draw(SHAPES)
    count = int(np.prod(shape))
    if draw(st.integers(0, 4)) == 0:
        texts = draw(st.lists(st.binary(max_size=200), min_size=count, max_size=count))
        array = np.empty(count, object)
        array[:] = texts
        return "string", array.reshape(shape)
    name = draw(st.sampled_from(NUMBERS))
    dtype = numpy_dtype(name)
    assert dtype is not None
    if name == "bool":
        return name, draw(hnp.arrays(np.bool_, shape))
    # Any bits: infinities, NaNs of every kind and denormals have to come through unchanged.
    size = count * dtype.itemsize
    return name, np.frombuffer(draw(st.binary(min_size=size, max_size=size)), dtype).reshape(shape)


TENSORS = st.dictionaries(KEYS, arrays(), max_size=6)


def check_equal(read: np.ndarray, name: str, array: np.ndarray) -> None:
    assert read.shape == array.shape
    if name == "string":
        assert read.tolist() == array.tolist()
    else:
        assert read.tobytes() == array.tobytes()


@settings(max_examples=80, deadline=None)
@given(tensors=TENSORS, shard_bytes=st.integers(1, 2_000))
def test_restore_what_was_written_gives_the_same_tensors(
    restore_tensor: RestoreTensor, tensors: Mapping[str, tuple[str, np.ndarray]], shard_bytes: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        prefix = Path(folder) / "ckpt"
        with BundleWriter(prefix, shard_bytes, durable=False) as writer:
            for key, (_, array) in tensors.items():
                writer.add_array(key, array)
        TensorBundle(prefix).verify()
        for key, (name, array) in tensors.items():
            check_equal(restore_tensor(prefix, key, name), name, array)


@settings(max_examples=80, deadline=None)
@given(tensors=TENSORS.filter(bool), shard_bytes=st.integers(1, 2_000))
def test_read_and_copy_what_was_saved_gives_the_same_tensors(
    save_tensors: SaveTensors, tensors: Mapping[str, tuple[str, np.ndarray]], shard_bytes: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        saved = TensorBundle(save_tensors(Path(folder) / "ckpt", *((k, a) for k, (_, a) in tensors.items())))
        saved.verify()
        assert set(saved.entries) == set(tensors)
        with BundleWriter(Path(folder) / "copy", shard_bytes, durable=False) as writer:
            for entry in saved.entries.values():
                writer.copy(entry, saved)
        copied = TensorBundle(Path(folder) / "copy")
        assert copied.digest() == saved.digest()
        for key, (name, array) in tensors.items():
            assert saved.entries[key].dtype == name
            check_equal(saved.read_array(key), name, array)
            check_equal(copied.read_array(key), name, array)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), shape=hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=6))
def test_restore_slices_cut_anywhere_gives_the_whole(
    restore_tensor: RestoreTensor, save_tensors: SaveTensors, data: st.DataObject, shape: tuple[int, ...]
) -> None:
    cuts = [
        [0, *sorted(data.draw(st.sets(st.integers(1, size - 1) if size > 1 else st.nothing()))), size]
        if size > 1
        else [0, 1]
        for size in shape
    ]
    value = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    grids = np.meshgrid(*(range(len(cut) - 1) for cut in cuts), indexing="ij")
    boxes = [
        tuple(slice(cuts[axis][n], cuts[axis][n + 1]) for axis, n in enumerate(cell))
        for cell in zip(*(grid.ravel() for grid in grids), strict=True)
    ]
    sizes = " ".join(map(str, shape))
    with tempfile.TemporaryDirectory() as folder:
        with BundleWriter(Path(folder) / "ours", durable=False) as writer:
            for box in boxes:
                writer.add_slice("p", shape, [part.start for part in box], value[box])
        np.testing.assert_array_equal(restore_tensor(Path(folder) / "ours", "p", "int32"), value)
        specs = [f"{sizes} " + ":".join(f"{p.start},{p.stop - p.start}" for p in box) for box in boxes]
        theirs = save_tensors(
            Path(folder) / "theirs",
            *(("p", spec, value[box]) for spec, box in zip(specs, boxes, strict=True)),
        )
        np.testing.assert_array_equal(TensorBundle(theirs).read_array("p"), value)
