import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from redraw.records import Check, ExportedModel
from redraw.validate.outcome import CannotRun
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

# What depends on the graph and the definition alone.
OF_GRAPH = {
    "serve-tag",
    "method-names",
    "custom-ops",
    "accelerator-ops",
    "host-code",
    "unreached-functions",
    "inference-ops",
    "signatures",
    "serving-runtime",
    "graphs-compared",
    "latency-budget",
}
PASSED = Check(name="", status="passed", looked_at="it", expected="this", found="this")

RunCheck = Callable[[str, Subject], Check]

# Examines a real export up to the first check that needs the definition.
_EXAMINE = """
import sys
from pathlib import Path
from redraw.records import ExportedModel
from redraw.validate.plan import PLAN
from redraw.validate.subject.model_resources import ModelResources
from redraw.validate.subject.subject import Subject
text = Path(sys.argv[1] + ".json").read_text()
exported = ExportedModel.from_text(text, "the record")
subject = Subject(exported=exported, folder=Path(sys.argv[1]), checkpoint=exported.checkpoint, live=None,
                  allow_breaking="", resources=ModelResources("mnist", exported.checkpoint.trained_at),
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


def repeats(check: Check) -> bool:
    """Whether it says that it looked at another export."""
    return check.looked_at == "it, of an export with the same saved_model.pb"


def test_examine_next_export_of_a_graph_repeats_what_follows_from_the_graph_alone(
    hand_made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PlannedCheck, "run", lambda planned, _: replace(PASSED, name=planned.name))
    subject = hand_made.subject()
    first, again = ([examine(subject, {}, [planned]).checks[0] for planned in PLAN] for _ in range(2))
    assert not any(map(repeats, first))
    assert {check.name for check in again if repeats(check)} == OF_GRAPH


def test_examine_repeats_no_failure_nothing_next_to_a_live_version_and_what_is_attached(
    hand_made, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = "failed"

    def run(planned: PlannedCheck, subject: Subject) -> Check:
        subject.attachments["graphs.json"] = status
        return replace(PASSED, name=planned.name, status=status)

    monkeypatch.setattr(PlannedCheck, "run", run)
    plan, export = [PlannedCheck("graphs-compared", "", of_graph=True)], hand_made.subject()
    version: Any = SimpleNamespace(release=SimpleNamespace(version=7))

    def repeated(live: Any = None) -> tuple[bool, dict[str, str]]:
        subject = replace(export, live=live, attachments={"weights.json": "of this export"})
        check = examine(subject, {}, plan).checks[0]
        del subject.attachments["weights.json"]
        return repeats(check), subject.attachments

    assert not repeated()[0]
    status = "passed"
    assert not repeated(version)[0]
    assert not repeated()[0]
    status = "of the graph now"
    assert repeated() == (True, {"graphs.json": "passed"})
    assert not repeated(version)[0]


def test_examine_check_that_needs_another_is_skipped_unless_that_passed(
    hand_made, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = {"digest": "failed", "serve-tag": "passed"}
    monkeypatch.setattr(
        PlannedCheck,
        "run",
        lambda planned, _: replace(PASSED, name=planned.name, status=states.get(planned.name, "passed")),
    )
    plan = [PlannedCheck(name, "") for name in states]
    plan += [PlannedCheck("loads", "", ("digest",)), PlannedCheck("warm-up", "", ("serve-tag",))]
    report = examine(hand_made.subject(), {"loads": "tried by hand"}, plan)
    assert [check.status for check in report.checks] == ["failed", "passed", "not_run", "passed"]
    assert report.checks[2].found == "not run: it needs the check digest, which did not pass"
    assert (report.passed, report.checks[2].waived) == (False, "tried by hand")


@pytest.mark.parametrize(
    ("excused", "waivers", "waived"),
    [
        ("", {}, ""),
        ("no GPU here", {}, "no GPU here"),
        ("no GPU here", {"warm-up": "tried by hand"}, "tried by hand"),
    ],
)
def test_examine_check_that_cannot_run_passes_if_that_is_excused_or_waived(
    excused: str, waivers: dict[str, str], waived: str, hand_made, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object) -> Check:
        raise CannotRun("it lacks a GPU", "Add one.", excused=excused)

    monkeypatch.setattr(PlannedCheck, "run", run)
    report = examine(hand_made.subject(), waivers, [PlannedCheck("warm-up", "")])
    (check,) = report.checks
    assert (check.status, check.found, check.advice) == ("not_run", "not run: it lacks a GPU", "Add one.")
    assert (report.passed, check.waived) == (bool(waived), waived)


def test_check_real_export_without_tensorflow_passes(mnist_export: ExportedModel) -> None:
    """A server's process is not needed either: an export that is wrong by its files fails fast."""
    command = [sys.executable, "-c", _EXAMINE, mnist_export.uri]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    *lines, imported = done.stdout.splitlines()
    assert lines == [f"{name} passed" for name in STATIC[: STATIC.index("weights-source")]]
    assert imported == "False"
