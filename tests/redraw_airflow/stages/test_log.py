from __future__ import annotations

import logging

import pytest

from redraw_airflow.stages.log import StageLog


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> StageLog:
    caplog.set_level(logging.DEBUG)
    return StageLog("train")


def entries(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int, str]]:
    return [entry for entry in caplog.record_tuples if entry[0].startswith("redraw.")]


def test_feed_logs_a_line_when_it_ends(log: StageLog, caplog: pytest.LogCaptureFixture) -> None:
    log.feed(b"INFO redraw.train.train: st")
    assert entries(caplog) == []
    log.feed("ep 1 …".encode()[:-1])
    log.feed("…".encode()[-1:] + b"\nWARNING redraw.train.train: two\nthr")
    assert entries(caplog) == [
        ("redraw.train.train", logging.INFO, "step 1 …"),
        ("redraw.train.train", logging.WARNING, "two"),
    ]


def test_close_logs_a_last_line_once(log: StageLog, caplog: pytest.LogCaptureFixture) -> None:
    log.feed(b"one\ntwo")
    log.close()
    log.close()
    assert entries(caplog) == [("redraw.train", logging.INFO, "one"), ("redraw.train", logging.INFO, "two")]
    assert list(log.last_lines) == ["one", "two"]


def test_feed_keeps_of_a_progress_bar_its_last_state(log: StageLog, caplog: pytest.LogCaptureFixture) -> None:
    log.feed(b"1 %\r50 %\r100 %\r\n\n  \n")
    assert [text for *_, text in entries(caplog)] == ["100 %"]


def test_feed_of_a_traceback_is_an_error_until_a_line_of_the_log(
    log: StageLog, caplog: pytest.LogCaptureFixture
) -> None:
    log.feed(b"Traceback (most recent call last):\n  File\nINFO redraw.x: again\nplain\n")
    assert [level for _, level, _ in entries(caplog)] == [
        logging.ERROR,
        logging.ERROR,
        logging.INFO,
        logging.INFO,
    ]


def test_feed_of_a_line_without_end_is_logged_in_parts(
    log: StageLog, caplog: pytest.LogCaptureFixture
) -> None:
    sent = 0
    while not entries(caplog) and sent < 10_000_000:
        log.feed(b"x" * 10_000)
        sent += 10_000
    (entry,) = entries(caplog)
    assert entry[2] == "x" * sent
