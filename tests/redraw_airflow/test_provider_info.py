from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from importlib import import_module
from importlib.resources import files

import jsonschema
import pytest
from airflow.sdk import BaseOperatorLink

from redraw_airflow import settings
from redraw_airflow.operators import links
from redraw_airflow.provider_info import get_provider_info
from redraw_airflow.settings import SETTINGS, STATE
from tests.paths import ROOT

_PACKAGE = "airflow-provider-redraw"


def test_get_provider_info_fits_airflow_s_schema() -> None:
    schema = json.loads((files("airflow") / "provider_info.schema.json").read_text())
    info = get_provider_info()
    jsonschema.validate(info, schema)
    # The schema's `option` lacks the bound that it means: its `additional_properties` is no keyword.
    for option in info["config"]["redraw"]["options"].values():
        assert set(option) == {"description", "version_added", "type", "example", "default"}


def test_get_provider_info_lists_every_setting_but_those_of_make_run() -> None:
    options = get_provider_info()["config"]["redraw"]["options"]
    assert list(options) == [setting.name for setting in SETTINGS if setting.configurable]
    assert STATE.name not in options
    assert options["storage_timeout"]["type"] == "float"
    assert options["try_it"]["type"] == "boolean"
    assert options["scratch_bytes"]["type"] == "integer"


def test_get_provider_info_names_every_module_of_operators_and_every_link() -> None:
    info = get_provider_info()
    listed = {module for part in info["operators"] for module in part["python-modules"]}
    for module in listed:
        import_module(module)
    folder = ROOT / "plugins" / "redraw_airflow"
    having = {
        f"redraw_airflow.{path.parent.name}.{path.stem}"
        for part in ("operators", "rollout", "vertex")
        for path in folder.glob(f"{part}/*.py")
        if re.search(r"^class \w+Operator\(", path.read_text(), re.MULTILINE)
        and path.stem not in {"base", "places"}
    }
    assert listed == having
    classes = {
        f"{links.__name__}.{name}"
        for name, value in vars(links).items()
        if isinstance(value, type) and issubclass(value, BaseOperatorLink) and value is not BaseOperatorLink
    }
    assert set(info["extra-links"]) == classes


def test_get_provider_info_imports_little_and_nothing_of_airflow() -> None:
    code = """
import sys
from redraw_airflow.provider_info import get_provider_info
assert get_provider_info()["config"]
heavy = {"airflow", "tensorflow", "numpy", "google.cloud.storage", "fastapi"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_get_provider_info_with_a_mistake_in_the_settings_still_names_the_provider(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr(settings, "SETTINGS")
    with caplog.at_level(logging.ERROR):
        info = get_provider_info()
    assert set(info) == {"package-name", "name", "description"}
    assert "cannot import name 'SETTINGS'" in caplog.text


def test_providers_manager_takes_the_provider_with_its_config_and_links() -> None:
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()
    assert manager.providers[_PACKAGE].data["name"] == "Redraw"
    assert set(get_provider_info()["extra-links"]) <= set(manager.extra_links_class_names)
    assert dict(manager.provider_configs)[_PACKAGE] == get_provider_info()["config"]


def test_airflow_config_list_shows_the_section() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "config", "list", "--section", "redraw", "--show-values"],
        env=os.environ | {"AIRFLOW__REDRAW__MODEL_BUCKET": "gs://shown"},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    assert "model_bucket = gs://shown" in done.stdout
    for name in get_provider_info()["config"]["redraw"]["options"]:
        assert f"{name} = " in done.stdout
