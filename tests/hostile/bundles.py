"""TensorBundles whose checksums hold and whose content lies, and object graphs that lead nowhere."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

from redraw.checkpoint.bundle.encoding import encode_varint, mask_crc32c
from redraw.checkpoint.bundle.messages import BundleEntryProto, BundleHeaderProto, TrackableObjectGraph
from redraw.checkpoint.bundle.table import read_table
from redraw.checkpoint.bundle.table_writer import encode_table
from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.checkpoint.objects.trackable import OBJECT_GRAPH_KEY
from tests.hostile.case import FINE, Case
from tests.hostile.reading import read_checkpoint

__all__ = ["CASES", "write_good"]

_Entries = dict[bytes, bytes]
_INDEX, _DATA = "ckpt-7.index", "ckpt-7.data-00000-of-00001"


def write_good(folder: Path, graph: Any = None) -> None:
    """A checkpoint of three tensors, and an object graph if one is given."""
    with BundleWriter(folder / "ckpt-7", durable=False) as writer:
        writer.add_array("a/kernel", np.arange(6, dtype=np.float32).reshape(2, 3))
        writer.add_array("global_step", np.int64(7))
        writer.add_array("words", np.array([b"ab", b"c"], object))
        writer.add_slice("parts", (4, 2), (0, 0), np.zeros((2, 2), np.float32))
        writer.add_slice("parts", (4, 2), (2, 0), np.ones((2, 2), np.float32))
        if graph is not None:
            writer.add_array(OBJECT_GRAPH_KEY, np.array(graph, object))


def _index(name: str, change: Callable[[_Entries], object], says: str = "", expected: str = "") -> Case:
    """Entries that are changed, in a table that is sound."""

    def act(folder: Path) -> None:
        write_good(folder)
        entries = dict(read_table(folder / _INDEX))
        change(entries)
        (folder / _INDEX).write_bytes(encode_table(sorted(entries.items())))
        read_checkpoint(folder / "ckpt-7")

    return Case(name=f"bundle-{name}", act=act, says=says, expected=expected or "CheckpointCorrupt")


def _entry(key: bytes, **fields: Any) -> Callable[[_Entries], object]:
    def change(entries: _Entries) -> None:
        entry = BundleEntryProto.FromString(entries[key])
        shape = fields.pop("shape", None)
        for name, value in fields.items():
            setattr(entry, name, value)
        if shape is not None:
            entry.shape.ClearField("dim")
            for size in shape:
                entry.shape.dim.add(size=size)
        entries[key] = entry.SerializeToString()

    return change


def _header(**fields: Any) -> Callable[[_Entries], object]:
    return lambda entries: entries.update({b"": BundleHeaderProto(**fields).SerializeToString()})


def _renamed(key: bytes) -> Callable[[_Entries], object]:
    return lambda entries: entries.update({key: entries[b"a/kernel"]})


def _step(value: int) -> Case:
    def act(folder: Path) -> None:
        with BundleWriter(folder / "ckpt-7", durable=False) as writer:
            writer.add_array("global_step", np.int64(value))
        read_checkpoint(folder / "ckpt-7")

    return Case(name=f"bundle-step-{value}", act=act, says="a step of 0 or more")


def _files(
    name: str, change: Callable[[Path], object], expected: str = "CheckpointCorrupt", says: str = ""
) -> Case:
    def act(folder: Path) -> None:
        write_good(folder)
        change(folder)
        read_checkpoint(folder / "ckpt-7")

    return Case(name=f"bundle-{name}", act=act, expected=expected, says=says)


def _linked(folder: Path) -> None:
    (folder / _DATA).rename(folder.parent.parent / "outside" / "data")
    (folder / _DATA).symlink_to(folder.parent.parent / "outside" / "data")
    (folder.parent.parent / "outside" / "data").rename(folder / "elsewhere")


def _replaced(name: str, make: Callable[[Path], object]) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return change


def _after_9999(folder: Path) -> None:
    """Some file systems hold such times, others take their own last second for them."""
    for name in (_INDEX, _DATA):
        os.utime(folder / name, (1 << 38, 1 << 38))


def _socket(path: Path) -> None:
    # The path of a socket may have 108 characters.
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)


def _snappy(name: str, declared: int) -> Case:
    """A block that says it is compressed, of a few bytes that say they are many."""

    def act(folder: Path) -> None:
        write_good(folder)
        content = bytearray((folder / _INDEX).read_bytes())
        block = encode_varint(declared) + b"\x00" * 8
        raw = block + b"\x01"
        content[: len(raw) + 4] = raw + struct.pack("<I", mask_crc32c(google_crc32c.value(raw)))
        footer = bytearray(48)
        handle = encode_varint(0) + encode_varint(len(block))
        footer[: 2 * len(handle)] = handle * 2
        footer[40:] = content[-8:]
        (folder / _INDEX).write_bytes(bytes(content[:-48]) + bytes(footer))
        read_checkpoint(folder / "ckpt-7")

    return Case(name=f"bundle-snappy-{name}", act=act)


def _graph(name: str, fill: Callable[[Any], object], expected: str = FINE, says: str = "") -> Case:
    def act(folder: Path) -> None:
        graph = TrackableObjectGraph()
        fill(graph)
        write_good(folder, graph.SerializeToString())
        read_checkpoint(folder / "ckpt-7")

    return Case(name=f"graph-{name}", act=act, expected=expected, says=says)


def _chain(count: int, name: bytes = b"n") -> Callable[[Any], object]:
    def fill(graph: Any) -> None:
        for number in range(count):
            graph.nodes.add().children.add(node_id=min(number + 1, count - 1), local_name=name)

    return fill


def _holding(number: int) -> Callable[[Any], object]:
    return lambda graph: graph.nodes.add().children.add(node_id=number)


def _mesh(graph: Any) -> None:
    """Each object of 300 holds every one."""
    for _ in range(300):
        node = graph.nodes.add()
        for number in range(300):
            node.children.add(node_id=number, local_name=f"{number}".encode())


def _operations(graph: Any) -> None:
    """A list of 20,000 layers, each of which leads to all that come after it."""
    graph.nodes.add().children.add(node_id=1, local_name=b"_operations")
    held = graph.nodes.add()
    for number in range(20_000):
        held.children.add(node_id=number + 2, local_name=f"{number}".encode())
        graph.nodes.add().children.add(node_id=min(number + 3, 20_001), local_name=b"next")


def _named(name: bytes) -> Callable[[Any], object]:
    def fill(graph: Any) -> None:
        graph.nodes.add().children.add(node_id=1, local_name=name)
        graph.nodes.add().attributes.add(name=b"VARIABLE_VALUE", full_name=name, checkpoint_key=b"a/kernel")

    return fill


def _list_of(*names: str) -> Callable[[Any], object]:
    def fill(graph: Any) -> None:
        optimizer = graph.nodes.add()
        optimizer.children.add(node_id=1, local_name=b"_model_variables_moving_average")
        optimizer.children.add(node_id=1, local_name=b"_trainable_variables")
        held = graph.nodes.add()
        for name in names:
            held.children.add(node_id=2, local_name=name.encode())
        graph.nodes.add().attributes.add(name=b"VARIABLE_VALUE", full_name=b"x", checkpoint_key=b"a/kernel")

    return fill


CASES = [
    Case(
        name="bundle-good",
        act=lambda folder: (write_good(folder), read_checkpoint(folder / "ckpt-7")),
        expected=FINE,
    ),
    _index("dtype-999", _entry(b"a/kernel", dtype=999), "number 999"),
    _index("dtype-negative", _entry(b"a/kernel", dtype=-1)),
    _index("dtype-resource", _entry(b"a/kernel", dtype=20), expected="CheckpointMismatch"),
    _index("rank-300", _entry(b"a/kernel", shape=[1] * 300), "rank of 0 to 254"),
    _index("rank-100", _entry(b"a/kernel", shape=[1] * 98 + [2, 3]), expected="CheckpointMismatch"),
    _index("dimension-negative", _entry(b"a/kernel", shape=[-2, -3]), "no negative dimension"),
    _index("dimensions-of-2-to-the-80", _entry(b"a/kernel", shape=[1 << 40, 1 << 40]), r"2\^63"),
    _index("size-wrong", _entry(b"a/kernel", shape=[1 << 40])),
    _index("size-negative", _entry(b"a/kernel", size=-1), "a place in one of the"),
    _index("size-beyond", _entry(b"words", size=1 << 60)),
    _index("offset-negative", _entry(b"a/kernel", offset=-4), "a place in one of the"),
    _index("offset-beyond", _entry(b"a/kernel", offset=1 << 62)),
    _index("shard-beyond", _entry(b"a/kernel", shard_id=9), "a place in one of the"),
    _index("strings-many", _entry(b"words", shape=[1 << 50]), "bytes for"),
    _index("shards-none", _header(num_shards=0), "data files"),
    _index("shards-10-million", _header(num_shards=10_000_000), "data files"),
    _index("shards-100", _header(num_shards=100)),
    _index("big-endian", _header(num_shards=1, endianness=1), "little-endian"),
    _index("header-none", lambda entries: entries.pop(b"")),
    _index("header-garbled", lambda entries: entries.update({b"": b"\xff" * 9})),
    _index("slice-missing", lambda entries: entries.pop(min(set(entries) - {b""})), "an index entry for"),
    _index("name-escapes", _renamed(b"a\x1b[2J\x9bm"), expected=FINE),
    _index("name-no-utf-8", _renamed(b"\xff\xfe"), expected=FINE),
    _index("name-900", _renamed(b"n" * 900), expected=FINE),
    _index("name-10000", _renamed(b"n" * 10_000), "names of at most"),
    _index("name-slashes", _renamed(b"/" * 8000 + b"Adam"), expected=FINE),
    _index("name-dots", _renamed(b"../../outside/secret"), expected=FINE),
    _index("name-part-long", _renamed(b"w/part_" + b"9" * 5000), expected=FINE),
    _step(-1),
    _step(-(1 << 63)),
    _files("data-linked", _linked, "InvalidName", "expected a regular file"),
    _files("data-pipe", _replaced(_DATA, lambda path: os.mkfifo(path)), "InvalidName", "a pipe"),
    _files("data-socket", _replaced(_DATA, _socket), "InvalidName", "a socket"),
    _files(
        "data-device", _replaced(_DATA, lambda path: path.symlink_to("/dev/zero")), "InvalidName", "a device"
    ),
    _files("data-folder", _replaced(_DATA, lambda path: path.mkdir())),
    _files("data-empty", _replaced(_DATA, lambda path: path.write_bytes(b""))),
    _files("index-linked", _replaced(_INDEX, lambda path: path.symlink_to("/etc/passwd")), "InvalidName"),
    _files("index-pipe", _replaced(_INDEX, lambda path: os.mkfifo(path)), "InvalidName", "a pipe"),
    _files("index-loop", _replaced(_INDEX, lambda path: path.symlink_to(path.name)), "InvalidName"),
    _files("index-dangling", _replaced(_INDEX, lambda path: path.symlink_to("nowhere")), "InvalidName"),
    _files("index-empty", _replaced(_INDEX, lambda path: path.write_bytes(b""))),
    _files("index-zeros", _replaced(_INDEX, lambda path: path.write_bytes(bytes(4096)))),
    _files("index-1-TB", lambda folder: os.truncate(folder / _INDEX, 1 << 40), says="an index of at most"),
    _files("time-after-9999", _after_9999, f"CheckpointCorrupt|{FINE}"),
    _snappy("4-GB", (1 << 32) - 1),
    _snappy("garbled", 8),
    _graph("empty", lambda graph: None),
    _graph("node-beyond", _chain(1, b"x"), FINE),
    _graph(
        "node-absent",
        lambda graph: graph.nodes.add().children.add(node_id=7),
        "CheckpointCorrupt",
        "got 7",
    ),
    _graph("node-negative", _holding(-1), "CheckpointCorrupt"),
    _graph("chain-50000", _chain(50_000), "CheckpointCorrupt", "paths of at most"),
    _graph("chain-of-long-names", _chain(500, b"x" * 5000), "CheckpointCorrupt", "paths of at most"),
    _graph("mesh", _mesh),
    _graph("operations-20000", _operations),
    _graph("full-name-dots", _named(b"../../outside/secret")),
    _graph("full-name-escapes", _named(b"\x1b]0;title\x07")),
    _graph("full-name-no-utf-8", _named(b"\xc3\x28")),
    _graph("list-of-superscripts", _list_of("0", "²")),
    _graph("list-of-huge-numbers", _list_of("0", "9" * 5000)),
    _graph("layers-of-huge-numbers", _named(b"layer_with_weights-" + b"9" * 5000)),
]
