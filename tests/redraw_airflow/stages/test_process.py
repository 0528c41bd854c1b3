from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.sdk.exceptions import AirflowFailException, AirflowTaskTimeout
from airflow.sdk.execution_time.timeout import timeout
from git import Repo

from redraw.records import TrainingRun
from redraw_airflow import compat
from redraw_airflow.stages.outcome import read_record
from redraw_airflow.stages.process import FinishedStage, StageProcess
from tests.paths import IMPORT_PATH

Program = Callable[[str], str]
Until = Callable[..., None]
Gone = Callable[[int], bool]

# A stage with a child of its own that a polite signal does not end, and their ids in a file.
STUBBORN = """
import os, pathlib, signal, subprocess, time
child = subprocess.Popen([sys.executable, "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True);"
    "time.sleep(600)"], stdout=subprocess.PIPE)
child.stdout.readline()
pids = pathlib.Path({pids!r})
pids.with_suffix(".new").write_text(f"{{os.getpid()}} {{child.pid}}")
pids.with_suffix(".new").rename(pids)
{then}
"""


def stage(python: str, request: dict[str, object] | None = None, **options: float) -> StageProcess:
    return StageProcess(
        stage="train", request=request or {}, gcp_conn_id="google_cloud_default", python=python, **options
    )


class Running:
    """A stage that runs in a thread, as a task's signal handler finds it in the main one."""

    def __init__(self, process: StageProcess) -> None:
        self.process = process
        self.finished: FinishedStage | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self.finished = self.process.run()

    def join(self) -> FinishedStage:
        self._thread.join(timeout=60)
        assert self.finished is not None, "the stage did not end"
        return self.finished


def read_pids(path: Path, until: Until) -> list[int]:
    until(path.exists, "the stage's process ids")
    return [int(pid) for pid in path.read_text().split()]


def test_run_echoing_program_passes_request_and_command(program: Program) -> None:
    python = program("import json; print(json.dumps([sys.argv[1:], json.load(sys.stdin)]))")
    request: dict[str, object] = {"model": "mnist", "note": "x" * 200_000}

    finished = stage(python, request).run()

    assert finished.returncode == 0
    assert json.loads(finished.stdout) == [["-m", "redraw", "train", "--request", "-"], request]


def test_run_with_own_interpreter_finds_this_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "redraw.py").write_text("raise SystemExit('another package of that name')")
    monkeypatch.chdir(tmp_path)

    finished = StageProcess(stage="models", request={"unknown": 1}, gcp_conn_id="none").run()

    assert finished.returncode == 1
    assert finished.last_lines[-1].startswith("error [InvalidRequest]: models request: unknown key 'unknown'")


def test_run_never_reading_its_request_does_not_block(program: Program) -> None:
    finished = stage(program("sys.exit(3)"), {"note": "x" * 1_000_000}).run()

    assert finished.returncode == 3


def test_run_writing_lines_logs_each_at_its_level_while_it_runs(
    program: Program, tmp_path: Path, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    going_on = tmp_path / "go-on"
    python = program(f"""
        import pathlib, time
        log = lambda text: print(text, file=sys.stderr, flush=True)
        log("INFO redraw.train.train: step 100")
        log("WARNING redraw.train.keras_loop: loss is not finite")
        log("2026-01-01 tensorflow: a line of a C++ library")
        while not pathlib.Path({os.fspath(going_on)!r}).exists():
            time.sleep(0.01)
        raise RuntimeError("broken \\u2026 at last")
    """)
    running = Running(stage(python))

    until(lambda: len(lines(caplog)) == 3, "three log lines of a running stage")
    assert running.finished is None
    going_on.touch()
    finished = running.join()

    assert lines(caplog)[:3] == [
        ("redraw.train.train", logging.INFO, "step 100"),
        ("redraw.train.keras_loop", logging.WARNING, "loss is not finite"),
        ("redraw.train", logging.INFO, "2026-01-01 tensorflow: a line of a C++ library"),
    ]
    assert lines(caplog)[3][1:] == (logging.ERROR, "Traceback (most recent call last):")
    assert lines(caplog)[-1] == ("redraw.train", logging.ERROR, "RuntimeError: broken … at last")
    assert finished.returncode == 1


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int, str]]:
    return [entry for entry in caplog.record_tuples if entry[0].startswith("redraw.")]


def test_terminate_with_stubborn_grandchild_leaves_no_process(
    program: Program, tmp_path: Path, until: Until, gone: Gone
) -> None:
    pids_file = tmp_path / "pids"
    running = Running(stage(program(STUBBORN.format(pids=os.fspath(pids_file), then="time.sleep(600)"))))
    pids = read_pids(pids_file, until)
    started = time.monotonic()

    running.process.terminate()
    finished = running.join()

    assert [gone(pid) for pid in pids] == [True, True]
    assert time.monotonic() - started < 5.0, "Airflow kills a task 5 s after it asks it to stop"
    assert finished.stopped


def test_terminate_with_obedient_stage_ends_at_once(program: Program, tmp_path: Path, until: Until) -> None:
    ready = tmp_path / "ready"
    python = program(f"import pathlib, time; pathlib.Path({os.fspath(ready)!r}).touch(); time.sleep(600)")
    running = Running(stage(python))
    until(ready.exists, "the stage")
    started = time.monotonic()

    running.process.terminate()

    assert running.join().returncode == -signal.SIGTERM
    assert time.monotonic() - started < 2.0


def test_terminate_gives_the_stage_time_to_clean_up(program: Program, tmp_path: Path, until: Until) -> None:
    ready = tmp_path / "ready"
    python = program(f"""
        import pathlib, signal, time
        def clean_up(*_):
            time.sleep(0.5)
            sys.exit(7)
        signal.signal(signal.SIGTERM, clean_up)
        pathlib.Path({os.fspath(ready)!r}).touch()
        time.sleep(30)
    """)
    running = Running(stage(python))
    until(ready.exists, "the stage")

    running.process.terminate()

    assert running.join().returncode == 7


def test_run_over_execution_timeout_leaves_no_process(
    program: Program, tmp_path: Path, until: Until, gone: Gone
) -> None:
    pids_file = tmp_path / "pids"
    python = program(STUBBORN.format(pids=os.fspath(pids_file), then="time.sleep(600)"))
    process = stage(python, grace_seconds=0.3)

    with pytest.raises(AirflowTaskTimeout), timeout(2):  # type: ignore[no-untyped-call]
        process.run()

    assert [gone(pid) for pid in read_pids(pids_file, until)] == [True, True]


def test_run_over_execution_timeout_gives_the_stage_time_to_clean_up(
    program: Program, tmp_path: Path, until: Until
) -> None:
    ready, cleaned = tmp_path / "ready", tmp_path / "cleaned"
    python = program(f"""
        import pathlib, signal, time
        def clean_up(*_):
            time.sleep(0.2)
            pathlib.Path({os.fspath(cleaned)!r}).touch()
            sys.exit(7)
        signal.signal(signal.SIGTERM, clean_up)
        pathlib.Path({os.fspath(ready)!r}).touch()
        time.sleep(60)
    """)

    def time_out() -> None:
        until(ready.exists, "the stage")
        os.kill(os.getpid(), signal.SIGALRM)

    ending = threading.Thread(target=time_out)
    ending.start()
    with pytest.raises(AirflowTaskTimeout), timeout(600):  # type: ignore[no-untyped-call]
        stage(python).run()

    ending.join()
    assert cleaned.exists()


@pytest.mark.parametrize(("then", "returncode"), [("sys.exit(0)", 0), ("os.kill(os.getpid(), 9)", -9)])
def test_run_ending_before_its_grandchild_ends_that_too(
    then: str, returncode: int, program: Program, tmp_path: Path, until: Until, gone: Gone
) -> None:
    pids_file = tmp_path / "pids"
    started = time.monotonic()

    finished = stage(program(STUBBORN.format(pids=os.fspath(pids_file), then=then))).run()

    assert finished.returncode == returncode
    assert not finished.stopped
    assert time.monotonic() - started < 5.0
    _, grandchild = read_pids(pids_file, until)
    until(lambda: gone(grandchild), "the grandchild's end", seconds=2.0)


# One that writes nowhere holds up nothing that is read; one that left the group does not end with it.
GRANDCHILD = """
import os, subprocess, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"], {how})
print(child.pid, flush=True)
{then}
"""
# The stage gives its pipes away and lives on: there is nothing left to read when it ends.
QUIET = "[os.dup2(os.open(os.devnull, os.O_WRONLY), number) for number in (1, 2)]; time.sleep(0.5)"


@pytest.mark.parametrize("then", ["", QUIET], ids=["reading", "quiet"])
def test_run_ending_before_a_grandchild_with_its_own_output_ends_that_too(
    then: str, program: Program, until: Until, gone: Gone
) -> None:
    how = "stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL"

    finished = stage(program(GRANDCHILD.format(how=how, then=then))).run()

    assert finished.returncode == 0
    until(lambda: gone(int(finished.stdout)), "the grandchild's end", seconds=2.0)


def test_run_ending_before_a_grandchild_of_another_group_does_not_wait_for_it(
    program: Program, gone: Gone
) -> None:
    started = time.monotonic()

    finished = stage(program(GRANDCHILD.format(how="start_new_session=True", then=""))).run()

    grandchild = int(finished.stdout)
    assert not gone(grandchild)
    os.kill(grandchild, signal.SIGKILL)
    assert finished.returncode == 0
    assert time.monotonic() - started < 10.0


def test_terminate_while_the_stage_starts_ends_it(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    process = stage(program("import time; time.sleep(30)"))
    start = subprocess.Popen

    def stop_then_return(*arguments: Any, **more: Any) -> Any:
        child = start(*arguments, **more)
        process.terminate()  # as Airflow's signal handler may: the process is there, and not known yet
        return child

    monkeypatch.setattr(subprocess, "Popen", stop_then_return)

    finished = process.run()

    assert (finished.returncode, finished.stopped) == (-signal.SIGTERM, True)


def test_terminate_before_the_stage_starts_ends_it(program: Program) -> None:
    process = stage(program("import time; time.sleep(30)"))

    process.terminate()
    finished = process.run()

    assert (finished.returncode, finished.stopped) == (-signal.SIGTERM, True)


def test_run_whose_operator_is_killed_ends_with_it(
    program: Program, tmp_path: Path, until: Until, gone: Gone
) -> None:
    pids_file = tmp_path / "pids"
    watching = "from redraw.storage.credentials import watch_parent; watch_parent(); time.sleep(600)"
    python = program(STUBBORN.format(pids=os.fspath(pids_file), then=watching))
    operator = (
        "from redraw_airflow.stages.process import StageProcess;"
        f"StageProcess(stage='train', request={{}}, gcp_conn_id='none', python={python!r}).run()"
    )
    path = IMPORT_PATH
    with subprocess.Popen([sys.executable, "-c", operator], env={**os.environ, "PYTHONPATH": path}) as parent:
        try:
            pids = read_pids(pids_file, until)
            assert not any(gone(pid) for pid in pids)
        finally:
            parent.kill()

    until(lambda: all(gone(pid) for pid in pids), "the end of the stage and its child", seconds=5.0)


def test_run_hides_what_only_airflow_may_know(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SOME_DATABASE", "postgres://user:geheim@host/db")
    monkeypatch.setenv("__AIRFLOW_SUPERVISOR_FD", "3")
    monkeypatch.setenv("REDRAW_MODELS", "my.models")

    finished = stage(program("import json, os; print(json.dumps(dict(os.environ)))")).run()

    environment = json.loads(finished.stdout)
    assert [key for key in environment if "AIRFLOW" in key] == []
    assert "geheim" not in finished.stdout.decode()
    assert environment["REDRAW_MODELS"] == "my.models"


def test_run_keeps_its_control_channel_from_its_children(program: Program) -> None:
    python = program("""
        import os, subprocess
        from redraw.storage.credentials import watch_parent
        number = os.environ["REDRAW_CONTROL_FD"]
        watch_parent()
        look = (
            "import os, sys;"
            "print('REDRAW_CONTROL_FD' in os.environ, os.path.exists('/proc/self/fd/' + sys.argv[1]))"
        )
        subprocess.run([sys.executable, "-c", look, number], close_fds=False, check=True)
    """)

    assert stage(python).run().stdout.split() == [b"False", b"False"]


def test_run_without_interpreter_fails_and_names_it(tmp_path: Path) -> None:
    missing = os.fspath(tmp_path / "python3")

    with pytest.raises(AirflowFailException, match=r"expected a Python interpreter, got '.*python3'"):
        stage(missing).run()


def test_run_by_default_takes_the_interpreter_of_the_environment(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDRAW_PYTHON", program("print('from the environment')"))

    finished = StageProcess(stage="train", request={}, gcp_conn_id="none").run()

    assert finished.stdout == b"from the environment\n"


def test_read_record_of_stage_killed_by_the_kernel_hints_at_memory(program: Program) -> None:
    finished = stage(program("import os; os.kill(os.getpid(), 9)")).run()

    with pytest.raises(Exception, match=r"stage train: was killed by SIGKILL.*memory limit"):
        read_record(finished, TrainingRun)


_GIT = "airflow.providers.git.bundles.git"


@pytest.fixture
def bundle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Makes a bundle of definitions: `bundle(kind, **arguments)`; returns the folder to put them into."""
    folder = tmp_path / "definitions"
    (folder / "bundled_models").mkdir(parents=True)
    (folder / "bundled_models" / "__init__.py").touch()

    def make(kind: str, **arguments: Any) -> Path:
        bundles = json.dumps([{"name": "far", "classpath": kind, "kwargs": arguments}])
        monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", bundles)
        monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH", str(tmp_path / "bundles"))
        monkeypatch.setenv("REDRAW_MODELS", "bundled_models")
        compat._bundle_folders.cache_clear()
        return folder

    yield make
    compat._bundle_folders.cache_clear()


def _names_of_definitions() -> set[str]:
    """What a stage finds; the modules hold no definition: that they are found and read is what counts."""
    ended = StageProcess(stage="models", request={}, gcp_conn_id="none").run()
    models = json.loads(ended.stdout)["models"]
    assert all(model["name"] in model["problem"] for model in models)
    return {model["name"] for model in models}


def test_run_finds_definitions_of_a_dag_bundle(bundle: Callable[..., Path], tmp_path: Path) -> None:
    local = "airflow.dag_processing.bundles.local.LocalDagBundle"
    folder = bundle(local, path=str(tmp_path / "definitions"))
    (folder / "bundled_models" / "afar.py").write_text('"""Far away."""\n')

    assert _names_of_definitions() == {"afar"}


def test_run_finds_definitions_next_to_a_bundle_that_cannot_be_made(
    bundle: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local, git = "airflow.dag_processing.bundles.local.LocalDagBundle", f"{_GIT}.GitDagBundle"
    folder = bundle(local, path=str(tmp_path / "definitions"))
    (folder / "bundled_models" / "afar.py").write_text('"""Far away."""\n')
    far = {"name": "far", "classpath": local, "kwargs": {"path": str(folder)}}
    bundles = json.dumps([{"name": "broken", "classpath": git, "kwargs": {"no_such": 1}}, far])
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", bundles)

    assert _names_of_definitions() == {"afar"}


def test_run_finds_definitions_of_a_git_bundle_at_the_version_of_its_dag_run(
    bundle: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, origin = f"{_GIT}.GitDagBundle", str(tmp_path / "origin.git")
    folder = bundle(kind, repo_url=origin, tracking_ref="main", prune_dotgit_folder=False)

    def commit(name: str) -> None:
        (folder / "bundled_models" / f"{name}.py").write_text('"""Far away."""\n')
        work.git.add("-A")
        work.git.execute([*author, "commit", "-q", "-m", name])
        work.git.push("-q", "origin", "main")

    Repo.init(origin, bare=True, initial_branch="main")
    work = Repo.init(folder, initial_branch="main")
    work.create_remote("origin", origin)
    author = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    commit("first")
    # As the DAG processor does.
    processed = DagBundlesManager().get_bundle("far")
    processed.initialize()
    current = processed.get_current_version()
    version = getattr(current, "version", current)  # Airflow 3.2 has a text
    assert _names_of_definitions() == {"first"}

    commit("second")
    processed.refresh()
    assert _names_of_definitions() == {"first", "second"}

    # As a task does whose run began before.
    pinned = DagBundlesManager().get_bundle("far", version)
    pinned.initialize()
    monkeypatch.setattr(sys, "path", [*sys.path, str(pinned.path)])
    assert _names_of_definitions() == {"first"}
    # Release records name this commit.
    assert Repo(pinned.path).head.commit.hexsha == version
