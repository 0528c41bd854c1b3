from __future__ import annotations

import random
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import cramjam
import google_crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redraw.checkpoint.bundle.encoding import encode_varint, mask_crc32c
from redraw.checkpoint.bundle.table import FOOTER_SIZE, MAGIC, read_table
from redraw.checkpoint.bundle.table_writer import encode_table
from redraw.errors import CheckpointCorrupt

EMPTY_BLOCK = struct.pack("<II", 0, 1)


def entry(shared: int, fresh: bytes, value: bytes = b"v") -> bytes:
    return encode_varint(shared) + encode_varint(len(fresh)) + encode_varint(len(value)) + fresh + value


def block(*entries: bytes, restarts: tuple[int, ...] = (0,)) -> bytes:
    return b"".join(entries) + struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))


def table(*blocks: bytes, kind: int = 0, separators: tuple[bytes, ...] | None = None) -> bytes:
    """A table of data blocks as they are given, with checksums that hold."""
    content, handles = b"", []
    for data in (*blocks, EMPTY_BLOCK):
        handles.append(encode_varint(len(content)) + encode_varint(len(data)))
        typed = data + bytes([kind if data is not EMPTY_BLOCK else 0])
        content += typed + struct.pack("<I", mask_crc32c(google_crc32c.value(typed)))
    names = separators or tuple(b"\xff" * (number + 1) for number in range(len(blocks)))
    lines = [entry(0, name, handle) for name, handle in zip(names, handles, strict=False)]
    starts = tuple(sum(map(len, lines[:number])) for number in range(len(lines)))
    index = block(*lines, restarts=starts or (0,))
    footer = handles[-1] + encode_varint(len(content)) + encode_varint(len(index))
    typed = index + b"\0"
    content += typed + struct.pack("<I", mask_crc32c(google_crc32c.value(typed)))
    return content + footer.ljust(FOOTER_SIZE - 8, b"\0") + struct.pack("<Q", MAGIC)


def read(path: Path, content: bytes) -> list[tuple[bytes, bytes]]:
    path.write_bytes(content)
    return list(read_table(path))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("table") / "x.index"


@settings(max_examples=60, deadline=None)
@given(
    items=st.dictionaries(st.binary(max_size=40), st.binary(max_size=60), max_size=80),
    block_size=st.integers(20, 600),
)
def test_read_written_table_gives_its_items(file: Path, items: dict[bytes, bytes], block_size: int) -> None:
    ordered = sorted(items.items())
    assert read(file, encode_table(ordered, block_size)) == ordered


def test_encode_table_of_many_blocks_matches_tensorflow_byte_for_byte(tf: Any, tmp_path: Path) -> None:
    names = [f"layer_{number // 7}/block_{number:05d}/kernel" for number in range(20_000)]
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "many"),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[np.float32(number) for number in range(len(names))],
    )
    index = tmp_path / "many.index"
    items = list(read_table(index))
    assert len(items) == 20_001
    assert index.stat().st_size > 2 * 256 * 1024
    assert encode_table(items) == index.read_bytes()


def test_read_table_of_a_v1_checkpoint_gives_its_keys(tf: Any, tmp_path: Path) -> None:
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for number in range(200):
            tf.compat.v1.get_variable(f"scope/weights_{number:03d}", initializer=np.zeros(50, np.float32))
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver(write_version=tf.compat.v1.train.SaverDef.V1)
        path = Path(saver.save(session, str(tmp_path / "old"), write_meta_graph=False))
    keys = [key for key, _ in read_table(path)]
    assert len(keys) == 201
    assert sum(b"scope/weights_" in key for key in keys) == 200


def test_read_snappy_block_gives_its_items(file: Path) -> None:
    data = block(*(entry(0, bytes([65 + n]) * 30) for n in range(20)))
    compressed = bytes(memoryview(cramjam.snappy.compress_raw(data)))
    assert len(compressed) < len(data)
    assert [key[:1] for key, _ in read(file, table(compressed, kind=1))] == [
        bytes([65 + n]) for n in range(20)
    ]


def test_read_snappy_block_of_every_element_gives_its_value(file: Path) -> None:
    """Literals of each length's form and copies of each offset's width, as the format describes them.

    Source: https://github.com/google/snappy/blob/1.2.2/format_description.txt
    """
    value = bytes(range(33)) * 3
    data = block(entry(0, b"k", value))
    head, end = data.index(value), data.index(value) + len(value)
    compressed = b"".join(
        (
            encode_varint(len(data)),
            bytes([(head - 1) << 2]) + data[:head],
            bytes([60 << 2, 33 - 1]) + value[:33],
            bytes([(11 - 4) << 2 | 1, 33]),
            bytes([(22 - 1) << 2 | 2]) + struct.pack("<H", 33),
            bytes([(33 - 1) << 2 | 3]) + struct.pack("<I", 33),
            bytes([61 << 2]) + struct.pack("<H", len(data) - end - 1) + data[end:],
        )
    )
    assert read(file, table(compressed, kind=1)) == [(b"k", value)]


def test_read_prefixes_and_blocks_gives_whole_keys(file: Path) -> None:
    first = block(entry(0, b"abc"), entry(2, b"d"))
    second = block(entry(0, b"x"), entry(1, b"y", b""))
    expected = [(b"abc", b"v"), (b"abd", b"v"), (b"x", b"v"), (b"xy", b"")]
    assert read(file, table(first, second, separators=(b"abe", b"y"))) == expected


def with_magic(content: bytes) -> bytes:
    return content + struct.pack("<Q", MAGIC)


GOOD = table(block(entry(0, b"a"), entry(0, b"b")))
ENDLESS = b"\xff" * 200
# Where the last block has to end, before its type and checksum.
ROOM = len(GOOD) - FOOTER_SIZE - 5
DAMAGED = {
    "empty": (b"", "at least 48 bytes"),
    "no_footer": (GOOD[:30], "at least 48 bytes"),
    "truncated": (GOOD[:-1], "magic number"),
    "first_half_lost": (GOOD[len(GOOD) // 2 :], "to end by"),
    "wrong_magic": (GOOD[:-8] + bytes(8), "magic number"),
    "endless_varint_in_footer": (with_magic(ENDLESS), "varint"),
    "endless_varint_in_block": (table(block(ENDLESS)), "varint"),
    "index_beyond_file": (
        GOOD[:-FOOTER_SIZE] + with_magic((encode_varint(9_999) + b"\x08\0\x08").ljust(40, b"\0")),
        "to end by",
    ),
    "index_of_huge_size": (
        GOOD[:-FOOTER_SIZE] + with_magic((b"\0" + encode_varint(1 << 62) + b"\0\x08").ljust(40, b"\0")),
        "to end by",
    ),
    "block_that_ends_in_the_footer": (
        GOOD[:-FOOTER_SIZE] + with_magic((encode_varint(ROOM - 4) + b"\x05\0\x08").ljust(40, b"\0")),
        f"to end by {ROOM}, got 5 bytes at offset {ROOM - 4}",
    ),
    "flipped_bit": (bytes([GOOD[0] ^ 1]) + GOOD[1:], "the checksum"),
    "unknown_compression": (table(block(entry(0, b"a")), kind=2), "compression 2"),
    "no_snappy": (table(b"\x05none", kind=1), "Snappy"),
    "huge_snappy": (table(encode_varint(0xFFFFFFF0) + b"\0a", kind=1), "uncompressed"),
    "duplicate_key": (table(block(entry(0, b"a"), entry(0, b"a"))), "the same key twice"),
    "duplicate_key_in_next_block": (
        table(block(entry(0, b"a")), block(entry(0, b"a")), separators=(b"a", b"b")),
        "the same key twice",
    ),
    "unsorted_keys": (table(block(entry(0, b"b"), entry(0, b"a"))), "out of order"),
    "key_above_separator": (table(block(entry(0, b"b")), separators=(b"a",)), "no key above"),
    "shared_beyond_last_key": (table(block(entry(3, b"a"))), "an entry within"),
    "key_beyond_block": (table(block(b"\0\x7f\0")), "an entry within"),
    "value_beyond_block": (table(block(b"\0\x01\x7fa")), "an entry within"),
    "no_restart_point": (table(struct.pack("<I", 0)), "restart points"),
    "restart_points_beyond_block": (table(struct.pack("<I", 0xFFFFFFFF)), "restart points"),
    "restart_point_within_entry": (table(block(entry(0, b"a"), restarts=(0, 2))), "restart point"),
    "restart_point_at_shared_key": (
        table(block(entry(0, b"ab"), entry(1, b"c"), restarts=(0, 6))),
        "an entry within",
    ),
    "block_without_entries": (table(EMPTY_BLOCK), "no key above"),
    "keys_that_explode": (
        table(block(entry(0, b"k" * 5_000), *(entry(5_000 + n, b"k") for n in range(3_000)))),
        "keys of at most",
    ),
}


@pytest.mark.parametrize(("content", "message"), DAMAGED.values(), ids=DAMAGED)
def test_read_damaged_table_names_file_and_damage(file: Path, content: bytes, message: str) -> None:
    with pytest.raises(CheckpointCorrupt, match=message) as caught:
        read(file, content)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("content", [content for content, _ in DAMAGED.values()], ids=DAMAGED)
def test_read_damaged_table_allocates_in_proportion_to_the_file(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointCorrupt):
            for _ in read_table(file):
                pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200_000 + 4 * len(content)


def test_read_good_table_of_the_damaged_ones_succeeds(file: Path) -> None:
    assert read(file, GOOD) == [(b"a", b"v"), (b"b", b"v")]


def test_read_mutated_blocks_with_true_checksums_fails_cleanly(file: Path) -> None:
    rng = random.Random(20)  # noqa: S311 - the same cases each time
    data = block(*(entry(0, f"name/{n:03d}".encode(), bytes(range(n))) for n in range(12)))
    failed = 0
    for _ in range(2_000):
        mutated = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            mutated[rng.randrange(len(mutated))] = rng.randrange(256)
        try:
            read(file, table(bytes(mutated)))
        except CheckpointCorrupt:
            failed += 1
    assert failed > 500
