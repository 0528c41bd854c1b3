"""Tables of TF1's Saver V1 that declare what TensorFlow's reader would believe."""

from __future__ import annotations

from pathlib import Path

from redraw.checkpoint.bundle.messages import SavedTensorSlices
from redraw.checkpoint.bundle.table_writer import encode_table
from tests.hostile.case import Case
from tests.hostile.reading import read_checkpoint

__all__ = ["CASES", "declare"]


def declare(dtype: int, shape: list[int], name: bytes = b"w", **fields: bool) -> bytes:
    """A table that declares one tensor, and holds nothing of it."""
    slices = SavedTensorSlices()
    tensor = slices.meta.tensor.add(name=name, type=dtype)
    for size in shape:
        tensor.shape.dim.add(size=size)
    for field, value in fields.items():
        setattr(tensor.shape, field, value)
    return encode_table([(b"", slices.SerializeToString())])


def _case(name: str, content: bytes, says: str = "") -> Case:
    def act(folder: Path) -> None:
        (folder / "model.ckpt-3").write_bytes(content)
        read_checkpoint(folder / "model.ckpt-3")

    return Case(name=f"saver-v1-{name}", act=act, says=says)


_GOOD = declare(1, [2])
CASES = [
    _case("dtype-999", declare(999, [2]), "dtype number 999"),
    _case("dtype-none", declare(0, [2]), "dtype number 0"),
    _case("dtype-negative", declare(-5, [2])),
    _case("rank-unknown", declare(1, [], unknown_rank=True), "a TensorFlow dtype and shape"),
    _case("rank-300", declare(1, [1] * 300), "300 dimensions"),
    _case("dimension-negative", declare(1, [-1]), "no negative dimension"),
    _case("size-2-to-the-62", declare(1, [1 << 60]), "that fit into"),
    _case("size-beyond", declare(1, [1 << 40, 1 << 40]), r"2\^63"),
    _case("size-4-GB", declare(1, [1 << 30]), "that fit into"),
    _case("meta-garbled", encode_table([(b"", b"\xff" * 40)]), "SavedTensorSlices"),
    _case("cut-off", b"x" + _GOOD[-60:]),
    _case("block-garbled", b"\xff" * 8 + _GOOD[8:]),
]
