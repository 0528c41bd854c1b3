"""Damaged at random, the same way each time: a checkpoint is read right, or found corrupt.

`make fuzz` goes on for longer: REDRAW_FUZZ_CASES mutations a test, drawn from REDRAW_FUZZ_SEED.
"""

from __future__ import annotations

import os
import random
import resource
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import google_crc32c
import numpy as np
import pytest

from redraw.checkpoint.bundle.encoding import mask_crc32c, read_varint
from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.bundle.table import FOOTER_SIZE, TRAILER_SIZE, read_table
from redraw.checkpoint.bundle.table_writer import encode_table
from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.checkpoint.objects.object_graph import read_object_graph, variables_by_path
from redraw.checkpoint.objects.roles import classify_tensors
from redraw.errors import CheckpointCorrupt

CASES = int(os.environ.get("REDRAW_FUZZ_CASES", "1500"))
SEED = int(os.environ.get("REDRAW_FUZZ_SEED", "0"))
# The files are of a few kB. What believes a length that lies asks for more than this.
MOST_MEMORY = 256 << 20


@contextmanager
def bounded_memory() -> Iterator[None]:
    """Within, what would make the process's address space larger by `MOST_MEMORY` is a MemoryError."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MOST_MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def seeded(number: int) -> random.Random:
    return random.Random(SEED * 10 + number)  # noqa: S311 - the same cases each time


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    with BundleWriter(tmp_path / "ckpt", 600) as writer:
        for number in range(8):
            writer.add_array(f"layer_{number}/kernel", np.arange(40, dtype=np.float32))
        writer.add_array("words", np.array([b"ab", b"cde", b""], object))
        writer.add_slice("parts", (6, 2), (0, 0), np.zeros((2, 2)))
        writer.add_slice("parts", (6, 2), (2, 0), np.ones((4, 2)))
    return tmp_path / "ckpt"


def mutations(content: bytes, rng: random.Random) -> Iterator[bytes]:
    for _ in range(CASES):
        mutated = bytearray(content)
        kind = rng.randrange(4)
        if kind == 0:
            mutated[rng.randrange(len(mutated))] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del mutated[rng.randrange(len(mutated)) :]
        elif kind == 2:
            start = rng.randrange(len(mutated))
            mutated[start : start + rng.randrange(1, 9)] = rng.randbytes(rng.randrange(9))
        else:
            for _ in range(rng.randrange(1, 6)):
                mutated[rng.randrange(len(mutated))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        yield bytes(mutated)


def read_all(prefix: Path) -> None:
    bundle = TensorBundle(prefix)
    bundle.digest()
    bundle.verify()
    for key, entry in bundle.entries.items():
        if entry.dtype not in ("variant", "resource"):
            bundle.read_array(key)


def count_failures(prefix: Path, contents: Iterator[bytes], path: Path) -> int:
    failures = 0
    for content in contents:
        path.write_bytes(content)
        try:
            with bounded_memory():
                read_all(prefix)
        except CheckpointCorrupt:
            failures += 1
    return failures


def test_read_mutated_index_finds_nearly_every_mutation(prefix: Path) -> None:
    index = prefix.with_name("ckpt.index")
    rng = seeded(1)
    failures = count_failures(prefix, mutations(index.read_bytes(), rng), index)
    # What is left over hit the padding of the footer, or changed nothing.
    assert failures > 0.9 * CASES


def test_read_mutated_entries_with_true_checksums_fails_cleanly(prefix: Path) -> None:
    """Past the checksums: one entry or key is altered, and the table around it is sound."""
    index = prefix.with_name("ckpt.index")
    items = list(read_table(index))
    rng = seeded(2)

    def tables() -> Iterator[bytes]:
        for _ in range(CASES):
            changed = dict(items)
            key = rng.choice(list(changed))
            value = changed.pop(key)
            if rng.randrange(4) and value:
                value = next(mutations(value, rng))
            else:
                key = next(mutations(key or b"\0", rng))
            yield encode_table(sorted({**changed, key: value}.items()))

    failures = count_failures(prefix, tables(), index)
    assert failures > 0.5 * CASES


def blocks(index: bytes) -> list[tuple[int, int]]:
    """Where the blocks of a table of one data block are, with the bytes that say their compression."""
    position, found = len(index) - FOOTER_SIZE, [0]
    for _ in range(2):
        offset, position = read_varint(index, position, len(index))
        _, position = read_varint(index, position, len(index))
        found.append(offset)
    ends = [*found[1:], len(index) - FOOTER_SIZE]
    return [(start, end - TRAILER_SIZE + 1) for start, end in zip(found, ends, strict=True)]


def test_read_mutated_blocks_with_true_checksums_fails_cleanly(prefix: Path) -> None:
    """Past the checksums: prefixes, restart points, handles and compression are altered."""
    index = prefix.with_name("ckpt.index")
    content = index.read_bytes()
    rng = seeded(6)

    def tables() -> Iterator[bytes]:
        for _ in range(CASES):
            start, end = rng.choice(blocks(content))
            block = bytearray(content[start:end])
            for _ in range(rng.randrange(1, 4)):
                block[rng.randrange(len(block))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            checksum = struct.pack("<I", mask_crc32c(google_crc32c.value(bytes(block))))
            yield content[:start] + bytes(block) + checksum + content[end + len(checksum) :]

    assert count_failures(prefix, tables(), index) > 0.5 * CASES


def test_read_mutated_data_finds_every_mutation(prefix: Path) -> None:
    (path, *_) = TensorBundle(prefix).shard_paths
    content = path.read_bytes()

    def changed() -> Iterator[bytes]:
        return (mutated for mutated in mutations(content, seeded(3)) if mutated[: len(content)] != content)

    assert count_failures(prefix, changed(), path) == sum(1 for _ in changed())


def test_read_mutated_string_tensor_with_true_checksum_fails_cleanly(tmp_path: Path) -> None:
    stored = b"\x02\x03\x81\x01"
    rng = seeded(4)
    failures = 0
    for number, lengths in enumerate(mutations(stored, rng)):
        covered = b"".join(struct.pack("<I", byte) for byte in lengths)
        checksum = struct.pack("<I", mask_crc32c(google_crc32c.value(covered)))
        writer = BundleWriter(tmp_path / f"ckpt-{number}", durable=False)
        try:
            with bounded_memory():
                writer.add_bytes("text", "string", (3,), [lengths, checksum, b"abcde", bytes(129)], None)
        except CheckpointCorrupt:
            failures += 1
        finally:
            writer.discard()
    assert failures > 0.5 * CASES


def test_read_mutated_object_graph_fails_cleanly(trained: dict[str, Path], tmp_path: Path) -> None:
    graph = TensorBundle(trained["prefix"]).read_array("_CHECKPOINTABLE_OBJECT_GRAPH").item()
    rng = seeded(5)
    failures = 0
    for number, mutated in enumerate(mutations(graph, rng)):
        if number >= CASES // 5:
            break
        prefix = tmp_path / "ckpt"
        prefix.with_name("ckpt.index").unlink(missing_ok=True)
        with BundleWriter(prefix, durable=False) as writer:
            writer.add_array("_CHECKPOINTABLE_OBJECT_GRAPH", np.array(mutated, object))
        bundle = TensorBundle(prefix)
        try:
            with bounded_memory():
                read = read_object_graph(bundle)
        except CheckpointCorrupt:
            failures += 1
            continue
        classify_tensors(bundle.entries, read)
        variables_by_path(read, "model")
    assert failures > 0.2 * CASES // 5
