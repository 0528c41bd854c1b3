import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from redraw.records import Check, ExportedModel
from redraw.validate.plan import PLAN, PlannedCheck
from redraw.validate.subject.subject import Subject
from redraw.validate.validator import examine

STATIC = [
    "graph-size",
    "files-whole",
    "digest",
    "serve-tag",
    "finite-weights",
    "method-names",
    "live-signatures",
    "custom-ops",
    "accelerator-ops",
    "host-code",
    "unreached-functions",
    "single-copy",
    "inference-ops",
    "weights-source",
    "signatures",
    "serving-runtime",
    "size-budget",
    "assets",
]

RunCheck = Callable[[str, Subject], Check]

# Examines a real export up to the first check that needs the definition.
_EXAMINE = """
import sys
from pathlib import Path
from redraw.records import ExportedModel
from redraw.validate.plan import PLAN
from redraw.validate.subject.standard import Standard
from redraw.validate.subject.subject import Subject
text = Path(sys.argv[1] + ".json").read_text()
exported = ExportedModel.from_text(text, "the record")
subject = Subject(exported=exported, folder=Path(sys.argv[1]), checkpoint=exported.checkpoint, live=None,
                  allow_breaking="", standard=Standard("mnist", exported.checkpoint.trained_at),
                  serving=None, scratch=Path(sys.argv[1]))
for planned in PLAN:
    if planned.name == "weights-source":
        break
    print(planned.name, planned.run(subject).status)
print("tensorflow" in sys.modules)
"""


@pytest.mark.parametrize("name", STATIC)
def test_check_good_export_passes(name: str, hand_made, run_check: RunCheck) -> None:
    check = run_check(name, hand_made.subject())
    assert check.status == "passed", check.found


def test_plan_needs_only_what_comes_before() -> None:
    names = [planned.name for planned in PLAN]
    assert len(set(names)) == len(names)
    for number, planned in enumerate(PLAN):
        assert set(planned.needs) <= set(names[:number])


def test_examine_waived_failure_passes_only_where_a_person_may_know_better(
    hand_made, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = Check(name="", status="failed", looked_at="it", expected="this", found="that")
    monkeypatch.setattr(PlannedCheck, "run", lambda planned, _: replace(failed, name=planned.name))
    for name, passed in (("file-configuration", True), ("size-budget", False)):
        report = examine(hand_made.subject(), {name: "it is wanted"}, [PlannedCheck(name, "")])
        assert (report.passed, bool(report.checks[0].waived)) == (passed, passed)


def test_check_real_export_without_tensorflow_passes(mnist_export: ExportedModel) -> None:
    """A server's process is not needed either: an export that is wrong by its files fails fast."""
    command = [sys.executable, "-c", _EXAMINE, mnist_export.uri]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    *lines, imported = done.stdout.splitlines()
    assert lines == [f"{name} passed" for name in STATIC[: STATIC.index("weights-source")]]
    assert imported == "False"
