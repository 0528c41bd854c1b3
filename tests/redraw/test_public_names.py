"""The public names of both packages."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

PACKAGES = ("redraw", "redraw_airflow")


@pytest.mark.parametrize("package", PACKAGES)
def test_import_of_every_public_name_succeeds(package: str) -> None:
    module = importlib.import_module(package)

    assert len(module.__all__) > 10
    for name in module.__all__:
        value = getattr(module, name)
        assert getattr(value, "__name__", name) in (name, "Literal", "Mapping")
    assert dir(module) == module.__all__
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        _ = module.no_such_name


@pytest.mark.parametrize("package", PACKAGES)
def test_import_of_a_package_imports_nothing_expensive(package: str) -> None:
    program = f"import sys, {package}; print({{'airflow', 'tensorflow', 'numpy'}} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout == "set()\n"
