import sys
from pathlib import Path

import pytest

from redraw.definition.registry import definition_for, find_fitting, list_models, load_definition
from redraw.errors import InvalidDefinition, UnknownModel
from tests.paths import TESTS

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
    (model,) = list_models()
    assert model.summary.startswith("cannot be read")


def test_list_models_same_name_in_two_packages_is_refused(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other_models"
    other.mkdir()
    (other / "__init__.py").touch()
    for folder in (package, other):
        (folder / "twin.py").touch()
    monkeypatch.setenv("REDRAW_MODELS", f"{package.name}, other_models")
    with pytest.raises(InvalidDefinition, match="'twin' is defined twice"):
        list_models()


@pytest.mark.parametrize("packages", ["no_such_package", "json.decoder"])
def test_list_models_missing_package_is_named(packages: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDRAW_MODELS", packages)
    with pytest.raises(InvalidDefinition, match="REDRAW_MODELS names"):
        list_models()


def test_load_definition_unknown_lists_what_there_is() -> None:
    with pytest.raises(UnknownModel, match=r"expected one of .*mnist"):
        load_definition("mnits")


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
        ("", "expected one complete subclass of ModelDefinition, found none"),
        ("from sample_models.line_module import LineDefinition", "found none"),
        (GOOD.format(body="pass") + "class Other(Mine): pass", "found Mine, Other"),
        (GOOD.format(body="signatures = {}"), "expected at least one signature"),
        (GOOD.format(body="weights = 'average'"), "keeps none"),
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
            "expected one definition for weights of 2022-02-02T00:00:00Z, got 2: .*digits from .*old from",
        ),
        ({"digits": "", "old": "Applies(model='digits', until='then')"}, "old, applies_to: expected a time"),
        ({"digits": "Applies(from_time='2024', until='2023-01-01')"}, "applies_to: expected"),
        ({"digits": "Applies(until=str(2023))"}, "with plain texts, got 'Applies.until=str.2023..'"),
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

    with pytest.raises(InvalidDefinition, match="approval: expected True or False, written out, got 'bool"):
        list_models()
