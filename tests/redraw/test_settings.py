from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from redraw import errors, setting_kinds
from redraw.errors import InvalidSetting
from redraw.setting_kinds import Setting, environment_of, use_configuration
from redraw.settings import (
    CACHE,
    CONTROL_FD,
    ENGINE_SETTINGS,
    MODELS,
    RECOMMENDER_ROWS,
    SCRATCH_BYTES,
    STORAGE_TIMEOUT,
    VERIFY_KEY,
    check_help,
    error_help,
    take_control_fd,
)
from tests.paths import ROOT

_WRONG = [
    (SCRATCH_BYTES, "10GB", "a number of bytes"),
    (SCRATCH_BYTES, "-1", "a number of bytes"),
    (CACHE, "gs://cache", "a path of this machine"),
    (STORAGE_TIMEOUT, "soon", "a number of seconds"),
    (STORAGE_TIMEOUT, "nan", "a number of seconds"),
    (RECOMMENDER_ROWS, "9999", "a whole number of at least 10000"),
    (RECOMMENDER_ROWS, "٣٣٣٣٣", "a whole number of at least 10000"),
]


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Options of Airflow's configuration, as a look-up that stands in for Airflow's."""
    given: dict[str, str] = {}
    monkeypatch.setattr(setting_kinds, "_configuration", None)
    use_configuration(given.get)
    return given


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("REDRAW_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(("setting", "text", "expected"), _WRONG)
def test_read_value_of_a_wrong_type_says_what_where_and_what_to_do(
    setting: Setting[object], text: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(setting.variable, text)
    with pytest.raises(InvalidSetting) as caught:
        setting.read()
    assert str(caught.value) == (
        f"{setting.variable}: expected {expected}, got {text!r} from the environment. Correct the setting."
    )


@pytest.mark.parametrize("setting", ENGINE_SETTINGS, ids=lambda setting: setting.name)
def test_read_empty_or_absent_value_gives_the_default(
    setting: Setting[object], monkeypatch: pytest.MonkeyPatch, options: dict[str, str]
) -> None:
    assert setting.read() == setting.default
    monkeypatch.setenv(setting.variable, "")
    options[setting.name] = ""
    assert setting.read() == setting.default


def test_read_gives_values_of_the_setting_s_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDRAW_MODELS", "redraw.models , my_models")
    monkeypatch.setenv("REDRAW_SCRATCH_BYTES", "5000")
    monkeypatch.setenv("REDRAW_STORAGE_TIMEOUT", "2.5")
    monkeypatch.setenv("REDRAW_CACHE", "/large")
    assert MODELS.read() == ("redraw.models", "my_models")
    assert (SCRATCH_BYTES.read(), STORAGE_TIMEOUT.read(), CACHE.read()) == (5000, 2.5, Path("/large"))


@pytest.mark.parametrize("setting", [one for one in ENGINE_SETTINGS if one.default_text is not None])
def test_default_text_reads_as_the_default(setting: Setting[object]) -> None:
    assert setting.read({setting.variable: str(setting.default_text)}) == setting.default


def test_read_option_counts_if_no_variable_sets_it(
    options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options["verify_key"] = "/from/option"
    assert VERIFY_KEY.read() == "/from/option"
    monkeypatch.setenv("REDRAW_VERIFY_KEY", "/from/variable")
    assert VERIFY_KEY.read() == "/from/variable"


def test_read_option_of_a_wrong_type_names_the_option(options: dict[str, str]) -> None:
    options["scratch_bytes"] = "much"
    with pytest.raises(InvalidSetting, match=r"got 'much' from option scratch_bytes of \[redraw\]"):
        SCRATCH_BYTES.read()


def test_read_wrong_value_leaves_other_settings_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDRAW_STORAGE_TIMEOUT", "soon")
    assert MODELS.read() == MODELS.default


def test_environment_of_options_reaches_another_process_with_their_origin(
    options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options |= {"scratch_bytes": "much", "models": "my_models", "storage_timeout": "50.0"}
    monkeypatch.setenv("REDRAW_CACHE", "/large")
    handed = environment_of(ENGINE_SETTINGS)
    assert {name: value for name, value in handed.items() if name != "REDRAW_CONFIGURED"} == {
        "REDRAW_CACHE": "/large",
        "REDRAW_MODELS": "my_models",
        "REDRAW_SCRATCH_BYTES": "much",
    }
    code = "from redraw.settings import *; print(MODELS.read(), CACHE.read()); SCRATCH_BYTES.read()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | handed, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "('my_models',) /large\n"
    assert "got 'much' from option scratch_bytes of [redraw]" in done.stderr


def test_environment_of_nothing_set_is_empty(options: dict[str, str]) -> None:
    assert environment_of(ENGINE_SETTINGS) == {}


def test_take_control_fd_removes_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert take_control_fd() is None
    monkeypatch.setenv(CONTROL_FD, "7")
    assert take_control_fd() == 7
    assert CONTROL_FD not in os.environ


def test_no_module_but_settings_reads_a_variable_of_redraw() -> None:
    """Names of variables may stand in messages and docstrings; only `settings` takes their values."""
    reads = re.compile(r"""(environ|getenv|environment)[^\n]{0,30}["']REDRAW_""")
    folders = [ROOT / name for name in ("tasks", "plugins", "dags")]
    sources = [path for folder in folders for path in folder.rglob("*.py")]
    assert len(sources) > 200
    reading = [path.name for path in sources if reads.search(path.read_text())]
    assert reading == []


@pytest.mark.parametrize(
    ("site", "name", "expected"),
    [
        (
            "https://docs.example/redraw/",
            "files-whole",
            "https://docs.example/redraw/reference/checks.html#files-whole",
        ),
        ("", "files-whole", ""),
        ("https://docs.example", '" onload="alert(1)', ""),
        ("javascript:alert(1)", "files-whole", ""),
    ],
)
def test_check_help_links_to_the_anchor_of_a_check_and_nowhere_else(
    site: str, name: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDRAW_DOCS", site)
    assert check_help(name) == expected


@pytest.mark.parametrize(
    ("site", "name", "expected"),
    [
        (
            "https://docs.example/redraw/",
            "NotValidated",
            "https://docs.example/redraw/reference/errors.html#notvalidated",
        ),
        ("", "NotValidated", ""),
        ("https://docs.example", "StageCrashed", ""),
        ("https://docs.example", "error_named", ""),
        ("https://docs.example", "<b>", ""),
    ],
)
def test_error_help_links_to_the_anchor_of_an_error_and_nowhere_else(
    site: str, name: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDRAW_DOCS", site)
    assert error_help(name) == expected


def test_every_error_has_the_anchor_that_error_help_leads_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDRAW_DOCS", "https://docs.example")
    page = (ROOT / "docs" / "reference" / "errors.md").read_text()
    anchors = {heading.lower() for heading in re.findall(r"^## (\w+)$", page, re.MULTILINE)}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    ours = [kind.__name__ for kind in kinds if issubclass(kind, errors.RedrawError)]
    addresses = {name: error_help(name) for name in ours if name != "RedrawError"}

    assert len(addresses) > 25
    assert {name for name, address in addresses.items() if address.partition("#")[2] not in anchors} == set()
