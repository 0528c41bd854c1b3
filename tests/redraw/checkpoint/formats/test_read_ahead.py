from __future__ import annotations

import threading

import pytest

from redraw.checkpoint.formats.bundle import FilePart, ReadAhead

PARTS = [("shard", number, 1) for number in range(40)]


class Reader:
    """Reads parts as their own text, the first `wait_for` of them only when all of these are asked for."""

    def __init__(self, wait_for: int = 1) -> None:
        self.read_parts: list[FilePart] = []
        self._wait_for = wait_for
        self._together = threading.Barrier(wait_for)
        self._lock = threading.Lock()

    def __call__(self, part: FilePart) -> bytes:
        with self._lock:
            self.read_parts.append(part)
            is_first = len(self.read_parts) <= self._wait_for
        if is_first:
            self._together.wait(timeout=20)
        if part[1] < 0:
            raise FileNotFoundError(part)
        return repr(part).encode()


def test_read_in_the_order_that_was_told_reads_several_parts_at_once() -> None:
    reader = Reader(wait_for=4)  # which fails unless four reads meet
    ahead = ReadAhead(reader, PARTS)
    assert [ahead.read(part) for part in PARTS] == [repr(part).encode() for part in PARTS]
    assert sorted(reader.read_parts) == PARTS


def test_read_nothing_yet_has_few_parts_in_memory() -> None:
    asked: list[FilePart] = []

    def parts():
        for part in PARTS:
            asked.append(part)
            yield part

    ahead = ReadAhead(Reader(), parts())
    assert len(asked) == 6
    ahead.read(PARTS[0])
    assert len(asked) == 7


def test_read_out_of_order_gives_what_is_asked_for() -> None:
    reader = Reader()
    ahead = ReadAhead(reader, PARTS)
    other = ("another", 7, 1)
    for part in (other, PARTS[3], PARTS[1], PARTS[5], PARTS[39]):
        assert ahead.read(part) == repr(part).encode()
    assert ReadAhead(reader).read(other) == repr(other).encode()


def test_read_that_fails_fails_where_it_is_asked_for() -> None:
    bad = ("shard", -1, 1)
    ahead = ReadAhead(Reader(), [PARTS[0], bad, PARTS[1]])
    assert ahead.read(PARTS[0]) == repr(PARTS[0]).encode()
    with pytest.raises(FileNotFoundError):
        ahead.read(bad)
    assert ahead.read(PARTS[1]) == repr(PARTS[1]).encode()


def test_read_to_the_end_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    parts = [("file", offset, 1) for offset in range(20)]
    ahead = ReadAhead(lambda part: bytes([part[1]]), parts)
    assert [ahead.read(part) for part in parts] == [bytes([offset]) for _, offset, _ in parts]
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()
