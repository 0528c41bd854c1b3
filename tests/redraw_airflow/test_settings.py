from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from redraw.errors import InvalidSetting
from redraw.setting_kinds import Setting
from redraw.settings import MODELS, STORAGE_TIMEOUT
from redraw_airflow.dags.forms.fields import bucket_field
from redraw_airflow.settings import (
    LAUNCHER,
    MARK_DAG,
    MODEL_BUCKET,
    PUBLISHING_DAGS,
    SETTINGS,
    STATE,
    TENSORBOARD,
    TRY_IT,
    airflow_option,
)
from redraw_airflow.stages.process import StageProcess

_WRONG = [
    (MODEL_BUCKET, "models", "gs://BUCKET or gs://BUCKET/PREFIX"),
    (LAUNCHER, "docker", "process or kubernetes"),
    (TRY_IT, "maybe", "1 or 0"),
    (PUBLISHING_DAGS, "nightly retraining", "names with a comma between them"),
    (MARK_DAG, "mark/version", "the id of a DAG"),
]


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("REDRAW_", "AIRFLOW__REDRAW__"))]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(("setting", "text", "expected"), _WRONG)
def test_read_option_of_a_wrong_type_says_what_where_and_what_to_do(
    setting: Setting[object], text: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"AIRFLOW__REDRAW__{setting.name.upper()}", text)
    with pytest.raises(InvalidSetting) as caught:
        setting.read()
    assert str(caught.value) == (
        f"{setting.variable}: expected {expected}, got {text!r} from option {setting.name} of [redraw] in"
        " Airflow's configuration. Correct the setting."
    )


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_read_nothing_set_gives_the_default(setting: Setting[object]) -> None:
    assert setting.read() == setting.default
    assert setting.find() is None


def test_read_variable_goes_before_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__REDRAW__MODEL_BUCKET", "gs://option")
    assert MODEL_BUCKET.read() == "gs://option"
    monkeypatch.setenv("REDRAW_MODEL_BUCKET", "gs://variable")
    assert MODEL_BUCKET.read() == "gs://variable"


def test_read_engine_s_setting_in_airflow_asks_its_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__REDRAW__MODELS", "my_models")
    assert MODELS.read() == ("my_models",)


def test_read_setting_of_make_run_ignores_airflow_s_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__REDRAW__STATE", "/elsewhere")
    assert STATE.read() == STATE.default


@pytest.mark.parametrize(("text", "truth"), [("1", True), ("True", True), ("0", False), ("no", False)])
def test_read_truth_takes_airflow_s_words(text: str, truth: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDRAW_TRY_IT", text)
    assert TRY_IT.read() is truth


def test_bucket_field_with_a_wrong_default_still_makes_a_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDRAW_MODEL_BUCKET", "models")
    field = bucket_field("Publish")
    assert field.resolve() is None
    assert "REDRAW_MODEL_BUCKET: expected gs://BUCKET" in str(field.description)


_READ = """
import airflow.sdk, json
{core}
from redraw.settings import MODELS, STORAGE_TIMEOUT
from redraw_airflow.settings import MODEL_BUCKET, TENSORBOARD
print(json.dumps([MODELS.read(), STORAGE_TIMEOUT.read(), MODEL_BUCKET.read(), TENSORBOARD.read()]))
"""
_FILE = """
[redraw]
models = redraw.models,my_models
storage_timeout = 7
model_bucket = gs://from-file
tensorboard = https://board/{run}?x=%2F
"""


@pytest.mark.parametrize("core", ["", "import airflow.configuration"])
def test_read_settings_of_airflow_cfg(core: str, tmp_path: Path) -> None:
    """By a worker, which has only the SDK's configuration, and by Airflow's other components."""
    (tmp_path / "airflow.cfg").write_text(_FILE)
    done = _run(_READ.format(core=core), tmp_path)
    assert json.loads(done.stdout.splitlines()[-1]) == [
        ["redraw.models", "my_models"],
        7.0,
        "gs://from-file",
        "https://board/{run}?x=%2F",
    ]


def test_read_settings_without_airflow_in_the_process_never_imports_it(tmp_path: Path) -> None:
    code = """
    import sys
    from redraw_airflow.settings import MODEL_BUCKET, airflow_option
    print(MODEL_BUCKET.read(), airflow_option("models"), "airflow" in sys.modules)
    """
    done = _run(code, tmp_path, AIRFLOW__REDRAW__MODEL_BUCKET="gs://models")
    assert done.stdout == "None None False\n"


def test_run_stage_gets_the_engine_s_options_as_variables(
    program: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__REDRAW__MODELS", "my_models")
    monkeypatch.setenv("AIRFLOW__REDRAW__VERIFY_KEY", "/key.pem")
    monkeypatch.setenv("AIRFLOW__REDRAW__STORAGE_TIMEOUT", "soon")
    monkeypatch.setenv("AIRFLOW__REDRAW__SCRATCH", "/option")
    monkeypatch.setenv("REDRAW_SCRATCH", "/variable")
    python = program("""
        import os
        from redraw.errors import InvalidSetting
        from redraw.settings import MODELS, SCRATCH, STORAGE_TIMEOUT, VERIFY_KEY
        assert not [name for name in os.environ if name.startswith("AIRFLOW")]
        print(MODELS.read(), SCRATCH.read(), VERIFY_KEY.read())
        try:
            STORAGE_TIMEOUT.read()
        except InvalidSetting as err:
            print(err)
    """)
    finished = StageProcess(stage="train", request={}, gcp_conn_id="none", python=python).run()
    assert finished.stdout.decode().splitlines() == [
        "('my_models',) /variable /key.pem",
        "REDRAW_STORAGE_TIMEOUT: expected a number of seconds, got 'soon' from option storage_timeout of"
        " [redraw] in Airflow's configuration. Correct the setting.",
    ]


def test_run_stage_by_default_takes_the_interpreter_of_the_option(
    program: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__REDRAW__PYTHON", program("print('from the option')"))
    finished = StageProcess(stage="train", request={}, gcp_conn_id="none").run()
    assert finished.stdout == b"from the option\n"


def test_airflow_option_that_nobody_set_is_its_default_or_none() -> None:
    assert airflow_option(TENSORBOARD.name) is None
    assert airflow_option(MODELS.name) in {None, MODELS.default_text}
    assert airflow_option(STORAGE_TIMEOUT.name) in {None, STORAGE_TIMEOUT.default_text}


def _run(code: str, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    import textwrap

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=os.environ | {"AIRFLOW_HOME": os.fspath(home)} | variables,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done
