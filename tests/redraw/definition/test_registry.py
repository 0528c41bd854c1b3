import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from redraw import setting_kinds
from redraw.definition.packages import list_packages
from redraw.definition.registry import (
    definition_for,
    find_fitting,
    list_models,
    list_problems,
    load_definition,
)
from redraw.errors import InvalidDefinition, UnknownModel
from tests.paths import IMPORT_PATH, TESTS

GOOD = """
from sample_models.line_module import LineDefinition

class Mine(LineDefinition):
    {body}
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty package of definitions, named in REDRAW_MODELS."""
    folder = tmp_path / f"models_{tmp_path.name.replace('-', '_')}"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.setenv("REDRAW_MODELS", folder.name)
    return folder


def test_list_models_shipped_package_finds_mnist_unimported() -> None:
    sys.modules.pop("redraw.models.mnist", None)
    (mnist,) = (model for model in list_models() if model.name == "mnist")
    assert mnist.module == "redraw.models.mnist"
    assert mnist.summary.startswith("Handwritten digits")
    assert "redraw.models.mnist" not in sys.modules


def test_list_models_broken_module_is_listed_with_its_reason(package: Path) -> None:
    (package / "broken.py").write_text("def (")
    (package / "good.py").write_text(GOOD.format(body="pass"))
    broken, good = list_models()
    assert broken.problem.startswith(f"module {package.name}.broken: the file cannot be read")
    assert (good.problem, type(load_definition("good")).__name__) == ("", "Mine")
    with pytest.raises(InvalidDefinition, match="broken: the file cannot be read"):
        load_definition("broken")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"x = " + b"(" * 3000, "cannot be read"),
        (b"x = " + b"-" * 200_000 + b"1", "cannot be read"),
        (b"\x00", "cannot be read"),
        (b"# coding: nonsense\n", "cannot be read: unknown encoding"),
        (b"name = '\xe9'\n", "cannot be read"),
    ],
)
def test_list_models_source_that_no_parser_reads_is_only_that_model(
    package: Path, content: bytes, reason: str
) -> None:
    (package / "broken.py").write_bytes(content)
    (package / "good.py").write_text(GOOD.format(body="pass"))
    broken, good = list_models()
    assert reason in broken.problem
    assert "\n" not in broken.problem
    assert not good.problem


def test_list_models_shows_a_file_that_changes_as_it_is_now(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redraw.definition.registry._SETTLED_SECONDS", -1.0)
    path = package / "line.py"

    def summary() -> str:
        return {model.name: model.summary for model in list_models()}["line"]

    path.write_text('"""A line."""\n')
    assert (summary(), summary()) == ("A line.", "A line.")
    path.with_suffix(".new").write_text('"""A curve."""\n')
    path.with_suffix(".new").replace(path)
    assert summary() == "A curve."


def test_list_models_file_that_is_none_is_not_opened(package: Path) -> None:
    os.mkfifo(package / "pipe.py")
    (pipe,) = list_models()
    assert "is not a regular file" in pipe.problem


def test_list_models_other_encoding_is_read_as_python_reads_it(package: Path) -> None:
    text = "# coding: latin-1\n'Größe.'\n" + GOOD.format(body="pass")
    (package / "old.py").write_bytes(text.encode("latin-1"))
    (old,) = list_models()
    assert (old.summary, old.problem) == ("Größe.", "")
    assert type(load_definition("old")).__name__ == "Mine"


def test_list_models_summary_of_any_length_is_short(package: Path) -> None:
    (package / "long.py").write_text(repr("word " * 50_000))
    (found,) = list_models()
    assert len(found.summary) < 400


def test_list_problems_file_whose_name_is_no_model_name(package: Path) -> None:
    (package / "Größe.py").write_text(GOOD.format(body="pass"))
    (package / "good.py").write_text(GOOD.format(body="pass"))
    assert [model.name for model in list_models()] == ["good"]
    (problem,) = list_problems()
    assert f"module {package.name}.Größe" in problem
    assert "begin its name with '_'" in problem


def test_list_models_same_name_in_two_packages_is_refused(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other_models"
    other.mkdir()
    (other / "__init__.py").touch()
    for folder in (package, other):
        (folder / "twin.py").touch()
    (other / "alone.py").write_text(GOOD.format(body="pass"))
    monkeypatch.setenv("REDRAW_MODELS", f"{package.name}, other_models")
    alone, twin = list_models()
    assert (alone.name, alone.problem) == ("alone", "")
    assert twin.problem.startswith(
        f"model 'twin': expected one definition, got two, in {package.name}.twin and other_models.twin."
    )
    with pytest.raises(InvalidDefinition, match="'twin': expected one definition, got two"):
        load_definition("twin")


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("no_such_package", "found none"),
        ("json.decoder", "found none"),
        ("raising_models.inner", "RuntimeError: broken at import"),
    ],
)
def test_list_models_missing_package_is_named_and_spares_the_others(
    missing: str,
    message: str,
    package: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (package / "mine.py").write_text(GOOD.format(body="pass"))
    (tmp_path / "raising_models").mkdir()
    (tmp_path / "raising_models" / "__init__.py").write_text("raise RuntimeError('broken at import')")
    monkeypatch.setenv("REDRAW_MODELS", f"{missing},{package.name}")

    assert [model.name for model in list_models()] == ["mine"]
    (problem,) = list_problems()
    assert problem.startswith(f"REDRAW_MODELS names {missing!r}: expected")
    assert message in problem
    assert problem in caplog.messages
    with pytest.raises(UnknownModel, match=re.escape(problem)):
        load_definition("nobody")


def install(folder: Path, name: str, entry_points: str) -> None:
    """Put what an installation leaves of a distribution into a folder of the path."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)


LIST = "from redraw.definition.registry import *; print([m.name for m in list_models()], list_problems())"


def list_in_a_new_process(folder: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "REDRAW_MODELS"}
    paths = os.pathsep.join([os.fspath(folder), IMPORT_PATH])
    return subprocess.run(
        [sys.executable, "-c", LIST],
        env={**environment, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_list_models_of_an_installed_package_that_announces_them(package: Path, tmp_path: Path) -> None:
    (package / "mine.py").write_text(GOOD.format(body="pass"))
    install(tmp_path, "team", f"[redraw.models]\nanything = {package.name}\n")

    listed = list_in_a_new_process(tmp_path)

    assert "'mine'" in listed
    assert "'mnist'" in listed
    assert listed.endswith("()\n")


def test_list_models_with_a_broken_entry_point_names_it_and_spares_the_others(tmp_path: Path) -> None:
    install(tmp_path, "team", "[redraw.models]\nteam = team_that_is_not_there.models\n")

    listed = list_in_a_new_process(tmp_path)

    assert "'mnist'" in listed
    assert "the entry point 'team' of team in the group redraw.models names" in listed
    assert "ModuleNotFoundError: No module named 'team_that_is_not_there'" in listed


def test_load_definition_unknown_lists_what_there_is() -> None:
    with pytest.raises(UnknownModel, match=r"expected one of .*mnist"):
        load_definition("mnits")


def test_list_models_reads_schedule_and_owner_without_running_the_file(package: Path) -> None:
    body = "schedule = '0 3 * * MON'\n    owner: str = 'vision@example.org'\n    1 / 0"
    (package / "mine.py").write_text(GOOD.format(body=body))

    (mine,) = list_models()

    assert (mine.schedule, mine.owner, mine.problem) == ("0 3 * * MON", "vision@example.org", "")


@pytest.mark.parametrize("body", ["schedule = 'a' * 3", "owner = None", f"owner = {'a' * 101!r}"])
def test_list_models_of_a_schedule_or_owner_that_is_no_plain_text_says_so(package: Path, body: str) -> None:
    (package / "mine.py").write_text(GOOD.format(body=body))

    (mine,) = list_models()

    assert "expected a string literal of at most 100 characters, got" in mine.problem


def test_load_definition_outside_the_packages_is_not_imported(package: Path) -> None:
    (package / "mine.py").write_text(GOOD.format(body="pass"))
    with pytest.raises(UnknownModel):
        load_definition("mnist")
    assert type(load_definition("mine")).__name__ == "Mine"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_module", "fails with ModuleNotFoundError"),
        ("1 / 0", "fails with ZeroDivisionError"),
        ("import sys; sys.exit(0)", "fails with SystemExit: 0"),
        ("raise KeyboardInterrupt", "fails with KeyboardInterrupt"),
        ("raise GeneratorExit", "fails with GeneratorExit"),
        (GOOD.format(body="signatures = property(lambda self: 1 / 0)"), "fails with ZeroDivisionError"),
        (
            GOOD.format(body="approval = property(lambda self: 1 / 0)"),
            "approval: expected the literal True or False",
        ),
        (
            GOOD.format(body="signatures = {'serving_default': 3}"),
            "signatures: expected a dict from names to Signature",
        ),
        (
            GOOD.format(body="thresholds = {'loss': 0.5}"),
            "thresholds: expected .*Threshold.* got {'loss': 0.5}",
        ),
        (GOOD.format(body="training_only = 'head/*'"), r"training_only: expected tuple.* got 'head/\*'"),
        (GOOD.format(body="tolerance = '1e-5'"), "tolerance: expected float, got '1e-5'"),
        (GOOD.format(body="weights = 'averages'"), "weights: expected .*'raw', 'average'"),
        (GOOD.format(body="training = {'steps': 3}"), "training: expected TrainingPlan"),
        (GOOD.format(body="stateful_ops = 'Add'"), "stateful_ops: expected tuple"),
        ("", "expected exactly one concrete subclass of ModelDefinition, found none"),
        ("from sample_models.line_module import LineDefinition", "found none"),
        (GOOD.format(body="pass") + "class Other(Mine): pass", "found Mine, Other"),
        (GOOD.format(body="signatures = {}"), "expected at least one signature"),
        (GOOD.format(body="weights = 'average'"), "without average_decay"),
    ],
)
def test_load_definition_broken_module_is_refused_by_one_line(
    package: Path, source: str, message: str, request: pytest.FixtureRequest
) -> None:
    name = f"broken_{abs(hash(source))}"
    (package / f"{name}.py").write_text(source)
    with pytest.raises(InvalidDefinition, match=message) as caught:
        load_definition(name)
    assert name in str(caught.value)


@pytest.mark.parametrize("shape", ["()", "(3, 1)"])
def test_load_definition_signature_without_batch_is_refused_by_its_tensor(package: Path, shape: str) -> None:
    body = (
        "from redraw.definition import Signature, TensorSpec\n"
        f"    signatures = {{'serving_default': Signature(inputs={{'x': TensorSpec('float32', {shape})}},"
        " outputs={'y': TensorSpec('float32', (None, 1))})}"
    )
    (package / "no_batch.py").write_text(GOOD.format(body=body))
    with pytest.raises(InvalidDefinition, match="input 'x': expected a batch dimension"):
        load_definition("no_batch")


def write_lineage(package: Path, **applies: str) -> None:
    """Definitions whose classes say `applies_to = …`; an empty text for one that says nothing."""
    for name, text in applies.items():
        body = f"from redraw.definition import Applies\n    applies_to = {text}" if text else "pass"
        (package / f"{name}.py").write_text(GOOD.format(body=body))


LINEAGE = {
    "digits": "",
    "digits_2022": "Applies(model='digits', until='2023-01-01')",
    "digits_2023": "Applies(model='digits', from_time='2023-01-01', until='2024-01-01T12:00:00+01:00')",
}


@pytest.mark.parametrize(
    ("trained_at", "name"),
    [
        ("2015-01-01T00:00:00Z", "digits_2022"),
        ("2022-12-31T23:59:59Z", "digits_2022"),
        ("2023-01-01T00:00:00Z", "digits_2023"),
        ("2024-01-01T10:59:59Z", "digits_2023"),
        ("2024-01-01T11:00:00Z", "digits"),
    ],
)
def test_find_definition_by_time_takes_the_one_of_then(package: Path, trained_at: str, name: str) -> None:
    write_lineage(package, **LINEAGE)
    assert find_fitting("digits", trained_at).name == name
    assert type(definition_for("digits", trained_at)).__module__ == f"{package.name}.{name}"
    assert type(load_definition("digits")).__module__ == f"{package.name}.digits"


def test_list_models_leaves_out_a_models_earlier_definitions(package: Path) -> None:
    write_lineage(package, **LINEAGE)
    assert [model.name for model in list_models()] == ["digits"]
    with pytest.raises(UnknownModel):
        load_definition("digits_2022")


@pytest.mark.parametrize(
    ("applies", "message"),
    [
        (
            {"digits": "Applies(from_time='2024-01-01')"},
            "expected one definition .* got 0: .*from 2024",
        ),
        (
            {"digits": "Applies(until='2024-01-01')", "old": "Applies(model='digits', until='2023-01-01')"},
            "expected one definition for weights trained at 2022-02-02T00:00:00Z.*: .*digits from .*old from",
        ),
        ({"digits": "", "old": "Applies(model='digits', until='then')"}, "old, applies_to: expected a time"),
        ({"digits": "Applies(from_time='2024', until='2023-01-01')"}, "applies_to: expected"),
        ({"digits": "Applies(until=str(2023))"}, "with string literals, got 'Applies.until=str.2023..'"),
        ({"digits": "Applies(since='2023-01-01')"}, "expected Applies.model=…, from_time=…, until=…."),
    ],
)
def test_find_definition_by_time_of_unclear_periods_is_refused(
    package: Path, applies: dict[str, str], message: str
) -> None:
    write_lineage(package, **applies)
    with pytest.raises(InvalidDefinition, match=message):
        find_fitting("digits", "2022-02-02T00:00:00Z")


def test_list_models_reads_what_a_form_shows_without_running_the_file(package: Path) -> None:
    body = "approval: bool = True\n    thresholds = {'recall': 1, **OTHERS, NAME: 2}\n    raise RuntimeError"
    (package / "asking.py").write_text(GOOD.format(body=body))
    (package / "plain.py").write_text(GOOD.format(body="pass"))

    asking, plain = list_models()

    assert (asking.approval, asking.metrics) == (True, ("recall",))
    assert (plain.approval, plain.metrics) == (False, ())


def test_list_models_with_an_approval_that_is_not_written_out_is_refused(package: Path) -> None:
    (package / "asking.py").write_text(GOOD.format(body="approval = bool(1)"))

    (package / "plain.py").write_text(GOOD.format(body="pass"))

    asking, plain = list_models()

    assert "approval: expected the literal True or False, got 'bool" in asking.problem
    assert plain.problem == ""
    with pytest.raises(InvalidDefinition, match="approval: expected the literal True or False"):
        load_definition("asking")


def test_list_models_finds_a_folder_that_was_not_there_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tracking_repo"
    monkeypatch.setattr(setting_kinds, "_definition_folders", lambda: [str(folder)])
    monkeypatch.setenv("REDRAW_MODELS", "fetched_models")
    assert list_models() == ()

    (folder / "fetched_models").mkdir(parents=True)
    (folder / "fetched_models" / "__init__.py").touch()
    (folder / "fetched_models" / "late.py").write_text('"""Fetched."""\n')
    assert [model.name for model in list_models()] == ["late"]


def test_list_models_of_a_folder_that_python_does_not_import_from_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("outer_models", "outer_models/inner"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "outer_models" / "inner" / "afar.py").write_text('"""Far away."""\n')
    monkeypatch.setattr(
        setting_kinds, "_definition_folders", lambda: [str(tmp_path / "nowhere"), str(tmp_path)]
    )
    monkeypatch.setenv("REDRAW_MODELS", "outer_models.inner")

    (model,) = list_models()

    assert (model.name, model.module, model.problem) == ("afar", "outer_models.inner.afar", "")
    assert list_packages()[0].roots == (str(tmp_path),)
    monkeypatch.setenv("REDRAW_MODELS", "outer_models.nothing,elsewhere_models")
    assert len(list_problems()) == 2
