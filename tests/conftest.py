"""Fixtures that every test may use: a real storage server on loopback, and fresh buckets in it."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from redraw.checkpoint.catalogue.store import folder_name
from redraw.records import Checkpoint, ExportedModel, Record, TrainingRun
from redraw.requests import CheckpointRequest, ExportRequest, PushRequest, TrainRequest, ValidateRequest
from redraw_airflow.standalone.airflow_api import AirflowApi
from redraw_airflow.standalone.preflight import prepare_state
from redraw_airflow.standalone.processes import Service, end_services
from redraw_airflow.standalone.services import read_password, start_services, start_storage
from redraw_airflow.standalone.settings import Settings, read_settings
from tests.checkpoint_year import Year, save_year
from tests.embedded import end_instance, free_port, new_settings, reach_storage, variables_of
from tests.fake_gcs import fake_server_command
from tests.stage_forks import new_interpreters, quick_interpreter

# Compiled modules are kept, in the tests' process and in those that it starts, whatever the caller's shell
# says: without them importing TensorFlow takes almost three times as long.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# The processes that run the tests are more than the cores: TensorFlow's threads would wait for each other.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

# How long an example takes says more of the machine than of what is tested.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

_Record = TypeVar("_Record", bound=Record)

_START_BOUND = 60.0
_LOOKED_AT = pytest.StashKey[Settings]()
# What runs in one process each: the modules that share a running Airflow, of those that look at it and of
# those that act on it, and those that ask the one API server of the pages. The last test of `make_run` ends
# the Airflow that was acted on; the one that is looked at ends after the last test that does.
_STANDALONE = "tests/redraw_airflow/standalone/test_"
_LOOKING = ("tests/browser/", "tests/hostile/instance/")
_ACTING = tuple(
    f"{_STANDALONE}{name}.py" for name in ("acting", "backfill", "instance", "own_dags", "make_run")
)
_PAGES = ("tests/redraw_airflow/web/",)
# It publishes thousands of versions into the bucket that all tests of pages share.
_LAST_OF_PAGES = "tests/redraw_airflow/web/test_appearance.py"
# What takes longest, in that order. Airflow waits more than it computes, so it begins.
_LONGEST = (
    *_LOOKING,
    *_ACTING,
    "tests/defects/",
    "tests/publishing/",
    "tests/dags/",
    "tests/redraw/train/",
    "tests/docker/",
    "tests/documentation/",
    *_PAGES,
    "tests/redraw/export/",
    "tests/redraw/validate/",
)


class _Together(LoadScopeScheduling):
    """What stays in one process when tests run side by side: a module, and all that shares a server."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return next((group[0] for group in (_LOOKING, _ACTING, _PAGES) if module.startswith(group)), module)


# Without xdist (`-p no:xdist`) nobody asks for it.
@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Distribute the tests so."""
    return _Together(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that the processes end together."""
    items.sort(key=lambda item: (_place(item), item.nodeid.startswith(_LAST_OF_PAGES)))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End the Airflow that is looked at with the last test that does: it is never idle."""
    looked_at = item.config.stash.get(_LOOKED_AT, None)
    if looked_at and not (nextitem and nextitem.nodeid.startswith(_LOOKING)):
        end_instance(looked_at)
        del item.config.stash[_LOOKED_AT]


def pytest_collection_finish() -> None:
    """Leave what is imported by now out of each garbage collection: with TensorFlow one takes 0.3 s."""
    gc.collect()
    gc.freeze()


def _place(item: pytest.Item) -> int:
    places = (place for place, start in enumerate(_LONGEST) if item.nodeid.startswith(start))
    return next(places, len(_LONGEST))


def make_folder_once(folders: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that one of the processes that run the tests makes, and all of them read.

    Args:
        folders: Of this process.
        name: Of what is made: no other may have it.
        make: Makes it where nothing is yet.

    Returns:
        The folder.
    """
    own = folders.getbasetemp()
    shared = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared" / name
    shared.mkdir(parents=True, exist_ok=True)
    with FileLock(shared / "lock"):
        if not (shared / "done").exists():
            make(shared / "made")
            (shared / "done").touch()
    return shared / "made"


def make_once(
    folders: pytest.TempPathFactory, kind: type[_Record], name: str, make: Callable[[Path], _Record]
) -> _Record:
    """As `make_folder_once`, for what returns the record of what it makes."""

    def record(folder: Path) -> None:
        made = make(folder)
        folder.with_name("record.json").write_text(json.dumps(made.to_json()))

    record_path = make_folder_once(folders, name, record).with_name("record.json")
    return kind.from_text(record_path.read_text(), name)


@pytest.fixture(scope="session")
def gcs_buckets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the storage server of this session keeps its buckets."""
    folder = tmp_path_factory.mktemp("gcs") / "buckets"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def gcs_server(gcs_buckets: Path) -> Iterator[str]:
    """The URL of a fake-gcs-server of this session; STORAGE_EMULATOR_HOST names it too."""
    url = f"http://127.0.0.1:{free_port()}"
    log_path = gcs_buckets.with_name("server.log")
    with log_path.open("wb") as log:
        server = subprocess.Popen(fake_server_command(url, gcs_buckets), stdout=log, stderr=log)
    patch = pytest.MonkeyPatch()
    try:
        wait_until(lambda: _answers(server, url, log_path), f"fake-gcs-server at {url}")
        patch.setenv("STORAGE_EMULATOR_HOST", url)
        yield url
    finally:
        patch.undo()
        server.terminate()
        server.wait(timeout=10)


@pytest.fixture(scope="session")
def own_storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """An embedded default of which only the storage server runs; it is reached by `reach_storage`."""
    settings = read_settings(
        {"REDRAW_STATE": str(tmp_path_factory.mktemp("storage")), "REDRAW_GCS_PORT": str(free_port())}
    )
    prepare_state(settings.state)
    services: dict[str, Service] = {}
    start_storage(settings, services, lambda line: None)
    yield settings
    end_services(services.values())


@pytest.fixture
def bucket(new_bucket: Callable[[], str]) -> str:
    """The gs:// URI of a new, empty bucket."""
    return new_bucket()


@pytest.fixture(scope="session")
def new_bucket(gcs_server: str) -> Callable[[], str]:
    """Makes an empty bucket and returns its gs:// URI."""

    def make() -> str:
        name = f"redraw-test-{uuid.uuid4().hex[:12]}"
        request = urllib.request.Request(
            f"{gcs_server}/storage/v1/b?project=redraw",
            data=json.dumps({"name": name}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200
        return f"gs://{name}"

    return make


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], TrainingRun]:
    """The finished training run of a model that ships, at full length: `trained_run(model)`."""

    def train(model: str) -> TrainingRun:
        def make(folder: Path) -> TrainingRun:
            from redraw.train.train import train_model

            return train_model(TrainRequest(model=model, out=str(folder / "run")))

        return make_once(tmp_path_factory, TrainingRun, f"{model}-run", make)

    return train


@pytest.fixture(scope="session")
def trained_mnist(trained_run: Callable[[str], TrainingRun]) -> TrainingRun:
    """That of the MNIST that ships."""
    return trained_run("mnist")


@pytest.fixture(scope="session")
def mnist_checkpoint(trained_mnist: TrainingRun, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """Its last checkpoint, in a local catalogue."""

    def select(folder: Path) -> Checkpoint:
        from redraw.checkpoint.select import select_checkpoint

        request = CheckpointRequest(model="mnist", source=trained_mnist, catalogue=str(folder), latest=True)
        return select_checkpoint(request)

    return make_once(tmp_path_factory, Checkpoint, "mnist-catalogue", select)


@pytest.fixture(scope="session")
def mnist_export(mnist_checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> ExportedModel:
    """That checkpoint's export."""

    def export(folder: Path) -> ExportedModel:
        from redraw.export.export import export_model

        return export_model(
            ExportRequest(model="mnist", checkpoint=mnist_checkpoint, out=str(folder / "model"))
        )

    return make_once(tmp_path_factory, ExportedModel, "mnist-export", export)


@pytest.fixture(scope="session")
def trained_line(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A checkpoint of the sample model `line_module`, a few steps old, in a local catalogue."""

    def train(folder: Path) -> Checkpoint:
        from redraw.checkpoint.select import select_checkpoint
        from redraw.train.train import train_model

        run = train_model(TrainRequest(model="line_module", out=str(folder / "run")))
        request = CheckpointRequest(
            model="line_module", source=run, catalogue=str(folder / "catalogue"), latest=True
        )
        return select_checkpoint(request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REDRAW_MODELS", "sample_models")
        patch.syspath_prepend(os.fspath(Path(__file__).parent))
        return make_once(tmp_path_factory, Checkpoint, "line", train)


@pytest.fixture(scope="session")
def add_lines(
    trained_line: Checkpoint, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., list[Checkpoint]]:
    """Puts checkpoints of `line_module` into a catalogue: `add_lines(catalogue, {step: trained_at})`.

    Each has weights of its own.
    """
    from redraw.checkpoint.bundle.writer import BundleWriter
    from redraw.checkpoint.catalogue.store import add_checkpoint
    from redraw.checkpoint.formats.source import open_checkpoint

    source = open_checkpoint(f"{trained_line.uri}/{trained_line.prefix}")

    def write(catalogue: str, step: int, trained_at: str) -> Checkpoint:
        folder = tmp_path_factory.mktemp("line")
        with BundleWriter(folder / "weights") as writer:
            for key in source.entries:
                value = source.read_array(key)
                writer.add_array(key, value + np.float32(step * 1e-6) if value.dtype == np.float32 else value)
        digest = open_checkpoint(folder / "weights").digest()
        uri = f"{catalogue}/line_module/{folder_name(step, digest)}"
        record = replace(trained_line, uri=uri, step=step, trained_at=trained_at, digest=digest)
        return add_checkpoint(catalogue, record, {path.name: path for path in folder.iterdir()})

    def add(catalogue: str, times: Mapping[int, str]) -> list[Checkpoint]:
        return [write(catalogue, step, trained_at) for step, trained_at in times.items()]

    return add


@pytest.fixture(scope="session")
def year_of_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Year:
    """Twelve checkpoints of the sample model `dense_line`, one a month of 2024, in every layout."""
    return save_year(tmp_path_factory.mktemp("year"))


@pytest.fixture(scope="session")
def quick_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An interpreter for `REDRAW_PYTHON` whose stages have TensorFlow imported when they start."""
    with quick_interpreter(tmp_path_factory.mktemp("stages")) as launcher:
        yield launcher


@pytest.fixture
def with_new_interpreters(quick_python: str) -> Iterator[None]:
    """Stages of the test start in new interpreters."""
    with new_interpreters(quick_python):
        yield


@pytest.fixture(scope="session")
def embedded_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Where this session's embedded default listens and keeps its state; ended with the session."""
    settings = new_settings(tmp_path_factory)
    yield settings
    end_instance(settings)


@pytest.fixture(scope="session")
def looked_at(
    tmp_path_factory: pytest.TempPathFactory,
    quick_python: str,
    mnist_export: ExportedModel,
    pytestconfig: pytest.Config,
) -> Iterator[Settings]:
    """A running embedded default of its own, with a live version of MNIST: to be looked at."""
    from redraw.publish.push.push import push_model
    from redraw.validate.validator import validate_model

    settings = new_settings(tmp_path_factory)
    pytestconfig.stash[_LOOKED_AT] = settings
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables_of(settings, quick_python).items():
            patch.setenv(name, value)
        start_services(settings, None, lambda line: None)
    with pytest.MonkeyPatch.context() as patch:
        reach_storage(patch, settings)
        model = {"model": "mnist", "saved_model": mnist_export}
        report = validate_model(ValidateRequest(**model, report=f"{settings.state}/report.json"))
        push_model(PushRequest(**model, report=report, bucket=settings.model_bucket, make_live=True))
    yield settings
    end_instance(settings)


@pytest.fixture(scope="session")
def looking_api(looked_at: Settings) -> Iterator[AirflowApi]:
    """A client of the Airflow that is looked at."""
    with AirflowApi(looked_at.airflow_url, "admin", read_password(looked_at)) as api:
        yield api


@pytest.fixture(scope="session")
def embedded_variables(embedded_settings: Settings, quick_python: str) -> dict[str, str]:
    """The environment variables that make `make run` start this session's embedded default."""
    return variables_of(embedded_settings, quick_python)


@pytest.fixture(scope="session")
def make(
    embedded_settings: Settings, embedded_variables: dict[str, str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Calls a target of the Makefile on this session's embedded default."""
    # The environment that the tests run in is not theirs to change: it counts as made (-o).
    command = [
        "make",
        "--old-file=.venv/.made-from-the-locks",
        "--directory",
        os.fspath(embedded_settings.root),
    ]
    inherited = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL")}

    def call(target: str, seconds: float = 500) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, target],
            env=inherited | embedded_variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
        )

    return call


@pytest.fixture(scope="session")
def make_run(make: Callable[..., subprocess.CompletedProcess[str]]) -> subprocess.CompletedProcess[str]:
    """The first `make run` of this session, after which Airflow runs and a model is published."""
    return make("run")


@pytest.fixture(scope="session")
def airflow_api(
    make_run: subprocess.CompletedProcess[str], embedded_settings: Settings
) -> Iterator[AirflowApi]:
    """A client of the Airflow that `make run` started."""
    assert make_run.returncode == 0, make_run.stdout + make_run.stderr
    with AirflowApi(embedded_settings.airflow_url, "admin", read_password(embedded_settings)) as api:
        yield api


@pytest.fixture
def unused_port() -> int:
    """A TCP port of 127.0.0.1 that refuses connections."""
    return free_port()


@pytest.fixture(scope="session")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running MLflow server."""
    from tests.mlflow_server import run_mlflow_server

    with run_mlflow_server(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


@pytest.fixture(scope="session")
def until() -> Callable[..., None]:
    """Polls until a condition holds, or fails: `until(condition, what, seconds, every=0.02, progress=…)`."""
    return wait_until


def wait_until(
    condition: Callable[[], bool],
    what: str,
    seconds: float = _START_BOUND,
    every: float = 0.02,
    progress: Callable[[], object] = lambda: None,
) -> None:
    """Poll a condition until it holds; fail, saying what was awaited, when it does not in time.

    The time begins again when `progress` is another than before: a machine that is busy is slow, and gets on.
    """
    deadline, reached = time.monotonic() + seconds, progress()
    while not condition():
        if (now := progress()) != reached:
            deadline, reached = time.monotonic() + seconds, now
        if time.monotonic() > deadline:
            after = f" after {reached}" if reached else ""
            pytest.fail(f"{what} did not come within {seconds:g} s{after}")
        time.sleep(every)


def _answers(server: subprocess.Popen[bytes], url: str, log_path: Path) -> bool:
    if server.poll() is not None:
        pytest.fail(f"fake-gcs-server ended with {server.returncode}: {log_path.read_text()}")
    try:
        with urllib.request.urlopen(f"{url}/storage/v1/b?project=redraw", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
