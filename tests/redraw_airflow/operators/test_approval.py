from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.utils.types import DagRunType

from redraw.errors import InvalidRequest
from redraw_airflow.operators.approval import approval_wanted, describe_release
from tests.redraw_airflow.deciding import EXPORT, REPORT

DEFINITION = '"""A model."""\nclass Model:\n    approval: bool = {approval}\n'


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two models: `asking` waits for a person by itself, `plain` does not."""
    package = tmp_path / "asked_models"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "asking.py").write_text(DEFINITION.format(approval=True))
    (package / "plain.py").write_text(DEFINITION.format(approval=False))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("REDRAW_MODELS", "asked_models")


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("choice", "model", "run_type", "wanted"),
    [
        ("default", "asking", DagRunType.SCHEDULED, True),
        ("default", "asking", DagRunType.MANUAL, True),
        ("default", "plain", DagRunType.SCHEDULED, False),
        ("yes", "plain", DagRunType.MANUAL, True),
        ("no", "asking", DagRunType.MANUAL, False),
        ("yes", "asking", DagRunType.BACKFILL_JOB, False),
        ("default", "asking", DagRunType.BACKFILL_JOB, False),
    ],
)
def test_approval_wanted_by_form_and_definition_but_never_in_a_backfill(
    choice: str, model: str, run_type: DagRunType, wanted: bool
) -> None:
    context = cast(Any, {"dag_run": SimpleNamespace(run_type=run_type)})

    assert approval_wanted(choice, model, context) is wanted


def test_approval_wanted_by_another_word_is_refused() -> None:
    context = cast(Any, {"dag_run": SimpleNamespace(run_type=DagRunType.MANUAL)})

    with pytest.raises(InvalidRequest, match="expected one of default, yes, no, got 'perhaps'"):
        approval_wanted("perhaps", "mnist", context)


def test_describe_release_shows_metrics_against_live_and_every_check() -> None:
    asked = describe_release(EXPORT, REPORT, "gs://models", make_live=True)

    assert asked.subject == "Publish mnist, step 1000?"
    lines = asked.body.splitlines()
    assert "| Live now | 2025120100000000 |" in lines
    assert "| Against the live version | accuracy 0.97, better by 0.01 (0.96 live) |" in lines
    assert "| Metrics of the checkpoint | accuracy 0.9712 |" in lines
    assert "| Size | 2.50 MB |" in lines
    assert "**1 of 2 checks passed.**" in lines
    assert "- **warm-up** was not run, and waived (tried by hand): no GPU" in lines


def test_describe_release_with_hostile_texts_draws_and_links_nothing() -> None:
    hostile = "a|b](javascript:x)\n# <img src=x> `code` **bold**"
    checks = (replace(REPORT.checks[0], found=hostile),)

    body = describe_release(EXPORT, replace(REPORT, checks=checks), "gs://models", make_live=False).body

    quoted = r"a\|b\](javascript:x) \# \<img src=x\> \`code\` \*\*bold\*\*"
    assert f"| Against the live version | {quoted} |" in body.splitlines()
    assert f"- **live-metrics** passed: {quoted}" in body.splitlines()
