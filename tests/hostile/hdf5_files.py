"""HDF5 files that no Keras wrote."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tests.hostile.case import FINE, Case
from tests.hostile.reading import read_checkpoint

__all__ = ["CASES", "GOOD", "write_good"]

_Fill = Callable[[Any], object]
GOOD = "model.weights.h5"


def write_good(path: Path) -> None:
    """A file as Keras 3 writes it."""
    with h5py.File(path, "w") as file:
        for number in range(3):
            held = file.create_group(f"layers/dense_{number}/vars")
            held["0"] = np.arange(8, dtype=np.float32).reshape(2, 4)
            held["1"] = np.ones(4, np.float32)


def _case(name: str, fill: _Fill, expected: str = "CheckpointCorrupt", says: str = "") -> Case:
    def act(folder: Path) -> None:
        write_good(folder / GOOD)
        with h5py.File(folder / GOOD, "a") as file:
            fill(file)
        read_checkpoint(folder / GOOD)

    return Case(name=f"hdf5-{name}", act=act, expected=expected, says=says)


def _damaged(name: str, change: Callable[[bytearray], object], expected: str = "CheckpointCorrupt") -> Case:
    def act(folder: Path) -> None:
        write_good(folder / GOOD)
        content = bytearray((folder / GOOD).read_bytes())
        change(content)
        (folder / GOOD).write_bytes(content)
        read_checkpoint(folder / GOOD)

    return Case(name=f"hdf5-{name}", act=act, expected=expected)


def _link(file: Any, name: str, target: Any) -> None:
    file[name] = target


def _raw(file: Any, name: str, shape: tuple[int, ...], filters: int = 1, chunk: int = 1 << 20) -> None:
    """Declared and never written, or one chunk of zeros packed again and again."""
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk((chunk,) * len(shape))
    for _ in range(filters):
        creation.set_deflate(9)
    space = h5py.h5s.create_simple(shape)
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.NATIVE_FLOAT, space, creation)


def _packed_zeros(file: Any) -> None:
    _raw(file, "w", (1 << 22,), filters=3, chunk=1 << 22)
    file["w"][:] = 0


def _empty(file: Any) -> None:
    file["w"] = h5py.Empty("f4")


def _references(file: Any) -> None:
    file.create_dataset("w", (2,), h5py.ref_dtype)[0] = file.ref


def _regions(file: Any) -> None:
    data = file["layers/dense_0/vars/0"]
    file.create_dataset("w", (1,), h5py.regionref_dtype)[0] = data.regionref[:1]


def _numbers_of_any_length(file: Any) -> None:
    held = file.create_dataset("w", (2,), h5py.vlen_dtype(np.int32))
    held[0] = np.arange(3)


def _external_bytes(file: Any) -> None:
    file.create_dataset("w", (4,), "u1", external=[("../../outside/secret", 0, 4)])


def _virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((2,), "f4")
    layout[:] = h5py.VirtualSource("../../outside/secret", "x", (2,))
    file.create_virtual_dataset("w", layout)


def _one_string_often(file: Any) -> None:
    """A hundred thousand references to one string of 1 MB: the heap's id is repeated in the file."""
    held = file.create_dataset("w", (100_000,), h5py.string_dtype())
    held[0] = "x" * (1 << 20)
    at = held.id.get_offset()
    file.flush()
    path = file.filename
    file.close()
    with Path(path).open("r+b") as raw:
        raw.seek(at)
        one = raw.read(16)
        raw.seek(at)
        raw.write(one * 100_000)


def _deep(file: Any) -> None:
    group = file
    for _ in range(3000):
        group = group.create_group("gg")
    group["w"] = np.zeros(2, np.float32)


def _loop_of_groups(file: Any) -> None:
    first = file.create_group("a")
    second = first.create_group("b")
    second["a"] = first


def _many_names(file: Any) -> None:
    """Each group holds the next one twice: 2^40 paths."""
    group = file.create_group("top")
    for _ in range(40):
        inner = group.create_group("a")
        group["b"] = inner
        group = inner


def _attribute(value: Any) -> _Fill:
    def fill(file: Any) -> None:
        file["layers/dense_0/vars"].attrs["name"] = value
        file["layers/dense_0/vars/0"].attrs["dtype"] = value

    return fill


def _type(dtype: Any) -> _Fill:
    return lambda file: file.create_dataset("w", data=np.zeros(2, dtype))


def _mutations() -> list[Case]:
    """Bytes changed at random, the same ones each time: read right or found corrupt, and nothing else."""

    def act(folder: Path, seed: int) -> None:
        write_good(folder / GOOD)
        content = bytearray((folder / GOOD).read_bytes())
        rng = random.Random(seed)  # noqa: S311 - the same cases each time
        for _ in range(40):
            content[rng.randrange(8, len(content))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        (folder / GOOD).write_bytes(content)
        read_checkpoint(folder / GOOD)

    expected = f"CheckpointCorrupt|CheckpointMismatch|{FINE}"
    return [
        Case(name=f"hdf5-mutated-{seed}", act=lambda folder, seed=seed: act(folder, seed), expected=expected)
        for seed in range(20)
    ]


def _index(name: str, content: bytes, expected: str = "CheckpointCorrupt", says: str = "") -> Case:
    """An index of sharded weights, next to a shard."""

    def act(folder: Path) -> None:
        write_good(folder / "model_00000.weights.h5")
        (folder / "model.weights.json").write_bytes(content)
        read_checkpoint(folder / "model.weights.json")

    return Case(name=f"hdf5-shards-{name}", act=act, expected=expected, says=says)


CASES = [
    _index("good", b'{"weight_map": {"/layers": "model_00000.weights.h5"}}', FINE),
    _index("dots", b'{"weight_map": {"/layers": "../outside/model_00000.weights.h5"}}', says="weight_map"),
    _index("absent", b'{"weight_map": {"/layers": "model_00001.weights.h5"}}', says="00001"),
    _index("escapes", b'{"weight_map": {"/layers": "a\\u001b[2J_00000.weights.h5"}}'),
    _index("deep", b'{"weight_map": ' + b"[" * 9000 + b"]" * 9000 + b"}", says="weight_map"),
    _index("numbers", b'{"weight_map": {"/layers": [1, 2]}}', says="weight_map"),
    _index("nothing", b"", says="weight_map"),
    _case("good", lambda file: None, FINE),
    _case("cycle-to-root", lambda file: _link(file, "again", file), says="one name for each object"),
    _case("cycle-of-groups", _loop_of_groups, says="one name for each object"),
    _case("exponential-paths", _many_names, says="one name for each object"),
    _case(
        "tensor-twice",
        lambda file: _link(file, "w", file["layers/dense_0/vars/0"]),
        says="one name for each object",
    ),
    _case("deep", _deep, says="at most 4096 characters"),
    _case("name-900", lambda file: _link(file, "n" * 900, np.zeros(2, np.float32)), FINE),
    _case("name-5000", lambda file: _link(file, "n" * 5000, np.zeros(2, np.float32)), says="4096 characters"),
    _case("name-escapes", lambda file: _link(file, "a\x1b[31mred", h5py.Empty("f4")), says=r"\\x1b\[31mred"),
    _case("name-dots", lambda file: _link(file, "..", np.zeros(2, np.float32)), FINE),
    _case(
        "external-link",
        lambda file: _link(file, "w", h5py.ExternalLink("../../outside/secret", "/")),
        "CheckpointMismatch",
        "link to another file",
    ),
    _case("soft-link", lambda file: _link(file, "w", h5py.SoftLink("/w")), "CheckpointMismatch", "link to"),
    _case("external-bytes", _external_bytes, "CheckpointMismatch", "link to another file"),
    _case("virtual", _virtual, "CheckpointMismatch", "link to another file"),
    _case("empty", _empty, says="which is neither"),
    _case("committed-type", lambda file: _link(file, "t", np.dtype("f4")), says="which is neither"),
    _case("references", _references, "CheckpointMismatch", "numbers or strings"),
    _case("region-references", _regions, "CheckpointMismatch", "numbers or strings"),
    _case("ragged", _numbers_of_any_length, "CheckpointMismatch", "numbers or strings"),
    _case("compound", _type([("a", "f4"), ("b", "i4")]), "CheckpointMismatch", "numbers or strings"),
    _case("arrays", _type(np.dtype(("f4", (3,)))), FINE),
    _case("opaque", _type("V7"), "CheckpointMismatch", "a TensorFlow dtype"),
    _case("wide-float", _type(np.longdouble), "CheckpointMismatch", "a TensorFlow dtype"),
    _case("big-endian", _type(">f4"), FINE),
    _case(
        "declared-never-written",
        lambda file: _raw(file, "w", (1 << 40,), filters=0),
        says="as the file stores",
    ),
    _case("declared-packed", lambda file: _raw(file, "w", (1 << 40,)), says="as the file stores"),
    _case(
        "declared-contiguous",
        lambda file: file.create_dataset("w", (1 << 40,), "f4"),
        says="as the file stores",
    ),
    _case("rows-of-nothing", lambda file: file.create_dataset("w", (1 << 60, 0), "f4"), FINE),
    _case("packed-three-times", _packed_zeros, says="as the file stores"),
    _case("large-chunk", lambda file: _raw(file, "w", (1 << 28,), chunk=1 << 28), says="as the file stores"),
    _case("one-string-often", _one_string_often, says="strings of at most"),
    _case("attribute-empty", _attribute(h5py.Empty("f4")), FINE),
    _case("attribute-numbers", _attribute(np.arange(9)), FINE),
    _case("attribute-large", _attribute(np.zeros(8000)), says="an attribute"),
    _case("attribute-bfloat16-of-floats", _attribute("bfloat16"), FINE),
    _case(
        "keras-2-without-layers", lambda file: file.attrs.__setitem__("layer_names", h5py.Empty("f4")), FINE
    ),
    _case("keras-2-list-of-numbers", lambda file: file.attrs.create("layer_names", np.arange(9)), FINE),
    _case("keras-2-absent-layers", lambda file: file.attrs.create("layer_names", [b"..", b"x"]), FINE),
    _damaged("cut-off", lambda content: content.__delitem__(slice(700, None))),
    _damaged("signature-alone", lambda content: content.__delitem__(slice(8, None))),
    _damaged("zeros", lambda content: content.__setitem__(slice(8, None), bytes(len(content) - 8))),
    _damaged("of-ones", lambda content: content.__setitem__(slice(8, None), b"\xff" * (len(content) - 8))),
    _damaged("trees-cut", lambda content: content.__setitem__(slice(96, 400), b"\xff" * 304)),
    *_mutations(),
]
