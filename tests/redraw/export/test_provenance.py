from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

import redraw
from redraw.definition.registry import load_definition
from redraw.export.provenance import describe_maker, digest_sources
from tests.paths import TESTS


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package of two models, a helper, and an inner package."""
    folder = tmp_path / "models"
    (folder / "inner").mkdir(parents=True)
    for name in ("__init__", "one", "two", "_helper", "inner/__init__", "inner/part"):
        (folder / f"{name}.py").write_text(f"# {name}\n")
    return folder


@pytest.mark.parametrize("name", ["one", "_helper", "__init__", "inner/part"])
def test_digest_changes_with_any_source_of_the_model(package: Path, name: str) -> None:
    before = digest_sources(package / "one.py")
    (package / f"{name}.py").write_text("# another\n")
    assert digest_sources(package / "one.py") != before


def test_digest_is_that_of_earlier_versions(package: Path) -> None:
    """A re-export asks by it whether a definition is still the one that a release was made by."""
    digest = hashlib.sha256()
    for name in ("__init__", "_helper", "inner/__init__", "inner/part", "one"):
        content = f"# {name}\n"
        digest.update(f"{name}.py {len(content)}\n{content}".encode())
    assert digest_sources(package / "one.py") == digest.hexdigest()


def test_digest_of_a_module_outside_of_packages_reads_nothing_else(package: Path) -> None:
    before = digest_sources(package / "one.py", packaged=False)
    (package / "inner/part.py").write_text("# another\n")
    assert digest_sources(package / "one.py", packaged=False) == before
    (package / "one.py").write_text("# another\n")
    assert digest_sources(package / "one.py", packaged=False) != before


def test_digest_stays_when_another_model_changes_or_the_folder_moves(package: Path) -> None:
    before = digest_sources(package / "one.py")
    (package / "two.py").write_text("# another\n")
    moved = package.rename(package.with_name("moved"))
    assert digest_sources(moved / "one.py") == before
    assert digest_sources(moved / "two.py") != before


def test_describe_in_a_repository_names_the_commit_and_whether_it_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "kept_models"
    folder.mkdir()
    (folder / "__init__.py").touch()
    tests = TESTS
    source = tests / "sample_models" / "named_line.py"
    (folder / "kept_line.py").write_text(source.read_text())
    monkeypatch.syspath_prepend(str(tests))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("REDRAW_MODELS", "kept_models")
    definition = load_definition("kept_line")
    bare = describe_maker(definition)
    assert (bare.git_revision, bare.git_dirty) == (None, None)

    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    (tmp_path / ".gitignore").write_text("__pycache__\n")
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "a"]):
        subprocess.run([*git, *arguments], check=True, capture_output=True)
    clean = describe_maker(definition)
    (folder / "other.py").touch()
    assert (len(clean.git_revision or ""), clean.git_dirty) == (40, False)
    assert describe_maker(definition).git_dirty is True
    assert clean.definition_digest == bare.definition_digest
    assert (clean.redraw, clean.python) == (redraw.__version__, sys.version.split()[0])
    assert clean.tensorflow.startswith("2.")
