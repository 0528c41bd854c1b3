import ast
import re

import pytest

from tests.paths import ROOT

MODEL = (ROOT / "docs" / "explanation" / "security.md").read_text()
_ROWS = [line for line in MODEL.splitlines() if line.startswith("|") and "::test_" in line]
_TESTS = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", MODEL)


@pytest.mark.parametrize(("path", "name"), _TESTS)
def test_every_test_that_the_security_model_names_exists(path: str, name: str) -> None:
    module = ast.parse((ROOT / path).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    assert name in {node.name for node in ast.walk(module) if isinstance(node, functions)}


def test_every_sentence_of_the_security_model_names_a_test() -> None:
    sections = MODEL.split("\n## ")[1:]
    rows = [line for section in sections for line in section.splitlines() if line.startswith("| ")]
    assert [row for row in rows if row not in _ROWS and not row.startswith("| Sentence ")] == []


def test_security_policy_leads_to_the_model() -> None:
    assert "docs/explanation/security.md" in (ROOT / "SECURITY.md").read_text()
    assert "SECURITY.md" in (ROOT / "README.md").read_text()
