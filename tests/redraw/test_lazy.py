"""Modules that are imported when something of them is first used."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from redraw.lazy import defer_modules


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module that can be imported, and is to be when it is used."""
    name = "redraw_test_of_lazy"
    (tmp_path / f"{name}.py").write_text(
        "import sys\nsys.was_imported = True\nvalue, __all__ = 7, ['value']\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "was_imported", False, raising=False)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    defer_modules(name)
    yield name
    sys.modules.pop(name, None)


def test_deferred_module_is_imported_by_its_first_use_and_is_the_real_one_after(made: str) -> None:
    standing_in = importlib.import_module(made)
    assert not hasattr(standing_in, "__file__")
    assert not sys.was_imported  # type: ignore[attr-defined]

    assert standing_in.value == 7
    assert sys.was_imported  # type: ignore[attr-defined]
    assert importlib.import_module(made).__file__.endswith(f"{made}.py")
    with pytest.raises(AttributeError, match=f"module '{made}' has no attribute 'other'"):
        _ = standing_in.other


@pytest.mark.parametrize("statement", ["from {} import value", "from {} import *"])
def test_deferred_module_gives_names_to_an_import_of_them(made: str, statement: str) -> None:
    names: dict[str, object] = {}
    exec(statement.format(made), names)  # noqa: S102 - each kind of import
    assert names["value"] == 7


def test_import_of_tensorflow_by_a_command_leaves_out_what_few_use_and_keeps_it_in_reach() -> None:
    program = """if True:
        import sys
        from redraw.definition.quiet import quiet_import
        with quiet_import():
            import keras, tensorflow as tf
        print("sklearn" in sys.modules, hasattr(sys.modules["matplotlib.pyplot"], "__file__"))
        print(keras.wrappers.SKLearnClassifier.__name__, tf.keras.wrappers.SKLearnRegressor.__name__)
        import matplotlib.pyplot as plot
        print(plot.figure.__name__, "sklearn" in sys.modules)
    """
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.splitlines() == ["False False", "SKLearnClassifier SKLearnRegressor", "figure True"]
