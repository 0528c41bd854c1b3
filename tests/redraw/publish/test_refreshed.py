from __future__ import annotations

import threading

import pytest

from redraw.publish.refreshed import Refreshed


class _Source:
    """A value that is read when it is let."""

    def __init__(self) -> None:
        self.reads = 0
        self.let = threading.Event()
        self.let.set()

    def __call__(self) -> int:
        self.let.wait(20)
        self.reads += 1
        return self.reads


class _Clock:
    now = 5000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def values(clock: _Clock) -> Refreshed[int]:
    return Refreshed(clock, most=10, longest=60, streams=2)


def test_get_within_two_seconds_reads_once(values: Refreshed[int], clock: _Clock) -> None:
    source = _Source()
    assert [values.get("a", source), values.get("a", source)] == [1, 1]
    clock.now += 2.1
    assert values.get("a", source) == 2


def test_get_shows_the_older_value_while_reading_takes_long(values: Refreshed[int], clock: _Clock) -> None:
    source = _Source()
    values.get("a", source)
    clock.now += 30
    source.let.clear()
    assert [values.get("a", source), values.get("a", source)] == [1, 1]
    source.let.set()
    clock.now += 40
    # Too old to show: the next one who asks waits for what is being read.
    assert values.get("a", source) == 2
    assert source.reads == 2


def test_forget_makes_the_next_one_read_again_and_keeps_no_earlier_reading(
    values: Refreshed[int], clock: _Clock
) -> None:
    source, slow = _Source(), _Source()
    values.get("a", source)
    clock.now += 30
    slow.let.clear()
    values.get("a", slow)
    values.forget("a")
    assert values.get("a", source) == 2
    slow.let.set()
    assert values.get("a", source) == 2


def test_forget_keeps_what_was_asked_for_since(values: Refreshed[int], clock: _Clock) -> None:
    source = _Source()
    values.get("a", source)
    values.forget("a", before=clock.now)
    assert values.get("a", source) == 1
    values.forget("a", before=clock.now + 1)
    assert values.get("a", source) == 2


def test_get_raises_what_reading_raises_and_reads_again(values: Refreshed[int]) -> None:
    def fail() -> int:
        raise KeyError("no bucket")

    with pytest.raises(KeyError, match="no bucket"):
        values.get("a", fail)
    assert values.get("a", _Source()) == 1


def test_get_with_patience_gives_up_and_leaves_the_reading_to_the_next(values: Refreshed[int]) -> None:
    source = _Source()
    source.let.clear()
    with pytest.raises(TimeoutError):
        values.get("a", source, patience=0.01)
    source.let.set()
    assert values.get("a", source, patience=60) == 1
    assert source.reads == 1


def test_get_does_not_wait_for_what_took_long_the_last_time(
    values: Refreshed[int], clock: _Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redraw.publish.refreshed._PATIENCE", 600.0)
    monkeypatch.setattr("redraw.publish.refreshed._HOPELESS", 0.0)
    source = _Source()
    values.get("a", source)
    clock.now += 30
    source.let.clear()
    assert values.get("a", source) == 1
    source.let.set()
