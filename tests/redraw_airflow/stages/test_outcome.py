from __future__ import annotations

import json

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from redraw.records import TrainingRun
from redraw_airflow.stages.outcome import printed_record, read_record
from redraw_airflow.stages.process import FinishedStage

RUN = TrainingRun(model="mnist", uri="/work/mnist/1", run="1", step=100, metrics={"accuracy": 0.97})


def finished(returncode: int = 0, stdout: str = "", *last_lines: str, stopped: bool = False) -> FinishedStage:
    return FinishedStage(
        stage="train", returncode=returncode, stdout=stdout.encode(), last_lines=last_lines, stopped=stopped
    )


def test_read_record_of_success_returns_it() -> None:
    assert read_record(finished(0, json.dumps(RUN.to_json()) + "\n"), TrainingRun) == RUN


@pytest.mark.parametrize(
    ("stdout", "because"),
    [
        ("", "got ''"),
        ("x" * 200, f"got '{'x' * 200}' ("),
        ("x" * 201, f"got '{'x' * 200}…' ("),
        ("loading…\n" + json.dumps(RUN.to_json()), "got 'loading…"),
        (json.dumps(RUN.to_json()) + "\n" + json.dumps(RUN.to_json()), "Extra data"),
        (json.dumps([RUN.to_json()]), "expected a TrainingRun record, got"),
        (json.dumps({**RUN.to_json(), "record": "Release"}), "got 'Release' under 'record'"),
    ],
)
def test_read_record_of_other_output_fails_and_shows_it(stdout: str, because: str) -> None:
    with pytest.raises(AirflowFailException, match="expected one TrainingRun record") as raised:
        read_record(finished(0, stdout), TrainingRun)

    assert because in str(raised.value)


@pytest.mark.parametrize(
    ("returncode", "name", "fails_at_once"),
    [
        (1, "CheckpointCorrupt", True),
        (2, "UsageError", True),
        (1, "NameFromALaterRelease", True),
        (1, "StorageUnavailable", False),
        (1, "WorkerLost", False),
    ],
)
def test_read_record_of_named_error_retries_only_what_a_retry_mends(
    returncode: int, name: str, fails_at_once: bool
) -> None:
    lines = (
        "INFO redraw.train.train: started",
        f"error [{name}]: one line that says what to do.",
        "noise at exit",
    )

    with pytest.raises(AirflowException, match="^one line that says what to do.$") as raised:
        read_record(finished(returncode, "", *lines), TrainingRun)

    assert isinstance(raised.value, AirflowFailException) == fails_at_once


@pytest.mark.parametrize(("returncode", "name"), [(-11, "SIGSEGV"), (-9, "SIGKILL"), (137, "SIGKILL")])
def test_read_record_of_killed_stage_names_the_signal(returncode: int, name: str) -> None:
    with pytest.raises(AirflowException, match=rf"stage train: was killed by {name}\.") as raised:
        read_record(finished(returncode), TrainingRun)

    assert ("memory limit" in str(raised.value)) == (name == "SIGKILL")
    assert not isinstance(raised.value, AirflowFailException)


def test_read_record_of_a_bug_shows_the_end_of_its_traceback() -> None:
    lines = ("Traceback (most recent call last):", '  File "train.py"', "KeyError: 'image'")

    with pytest.raises(AirflowException, match="ended with status 1 and no error of its own") as raised:
        read_record(finished(1, "", *lines), TrainingRun)

    assert str(raised.value).endswith("\n".join(lines))
    assert not isinstance(raised.value, AirflowFailException)


@pytest.mark.parametrize(
    ("stdout", "record"),
    [
        (json.dumps(RUN.to_json()), RUN),
        ("", None),
        ("loading…", None),
        (json.dumps(RUN.to_json())[:-1], None),
        ('{"record": "Release"}', None),
    ],
)
def test_printed_record_of_a_failed_stage_is_there_or_none(stdout: str, record: TrainingRun | None) -> None:
    assert printed_record(finished(1, stdout), TrainingRun) == record


def test_printed_record_of_bytes_that_are_no_text_is_none() -> None:
    ended = FinishedStage(stage="train", returncode=1, stdout=b"\xff{", last_lines=(), stopped=False)
    assert printed_record(ended, TrainingRun) is None


def test_read_record_of_stopped_stage_may_be_tried_again() -> None:
    with pytest.raises(AirflowException, match="was stopped before it had finished") as raised:
        read_record(finished(0, json.dumps(RUN.to_json()), stopped=True), TrainingRun)

    assert not isinstance(raised.value, AirflowFailException)
