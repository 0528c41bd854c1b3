"""An export that is larger than any machine's memory: its weights are a file with a hole."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from redraw.validate.outcome import CannotRun
from redraw.validate.plan import PLAN
from redraw.validate.subject.subject import LiveVersion, Subject
from redraw.validate.validator import examine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc/meminfo, which only Linux has")

_HUGE = 1 << 42
# Nothing serves in these tests: a check that loaded anything all the same would end with an error.
_TAKES = r"takes 4663\.1 GB of memory, and \d+\.\d GB are free"


@pytest.fixture
def huge(hand_made: Any) -> Subject:
    """A good export, but for a weight file of 4 TB, of which none is on the disk."""
    subject: Subject = hand_made.subject()
    make_huge(subject.folder)
    return subject


def make_huge(folder: Path) -> None:
    with (folder / "variables" / "variables.data-00001-of-00002").open("wb") as file:
        os.truncate(file.fileno(), _HUGE)


def test_examine_export_beyond_memory_loads_nothing_and_says_why(huge: Subject) -> None:
    names = ("loads", "warm-up", "golden-examples")
    plan = [planned for planned in PLAN if planned.name in names]

    report = examine(huge, {"loads": "no machine is as large"}, plan)

    assert [check.status for check in report.checks] == ["not_run"] * 3
    loads, warm_up, _ = report.checks
    assert loads.found.startswith(f"not run: to load {huge.folder} takes 4")
    assert loads.waived == "no machine is as large"
    assert warm_up.found == "not run: it needs the check loads, which did not pass"
    assert not report.passed


def test_load_ahead_of_export_beyond_memory_is_told_when_it_is_asked_for(huge: Subject) -> None:
    huge.load_ahead()

    with pytest.raises(CannotRun, match=f"^to load .*{_TAKES}"):
        _ = huge.served
    huge.close()


def test_restore_of_checkpoint_beyond_memory_does_not_begin(huge: Subject) -> None:
    with pytest.raises(CannotRun, match=f"^to restore the checkpoint into .*{_TAKES}"):
        _ = huge.reference


def test_load_of_live_version_beyond_memory_does_not_begin(hand_made: Any, tmp_path: Path) -> None:
    (tmp_path / "live" / "variables").mkdir(parents=True)
    make_huge(tmp_path / "live")
    release: Any = None
    subject = hand_made.subject(live=LiveVersion(release=release, fetch=lambda: tmp_path / "live"))

    with pytest.raises(CannotRun, match=f"^to load .*live {_TAKES}"):
        _ = subject.live_served
