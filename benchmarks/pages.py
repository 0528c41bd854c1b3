"""Measure the response times of pages 20 ms away from the bucket, versus reading ten objects in turn.

There are 1,000 models, one of them with 1,000 versions. Each turn has a new server, and each page is
requested twice: when nothing of the bucket was read yet, and again when the cached listing has expired. A
list that is sorted or filtered by the bucket's content reads something of every model, so each of these gets
a server of its own.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from benchmarks.harness import BenchmarkFailed, Comparison, Run, Series, take_turns
from benchmarks.workshop import ROOT, Workshop
from redraw.publish.bucket.layout import (
    Claim,
    claim_name,
    encode_record,
    live_name,
    numbered_live_name,
    release_name,
)
from redraw.records import Check
from redraw.storage.opening import in_parallel, open_storage
from redraw_airflow.urls import MOUNT
from tests.paths import IMPORT_PATH
from tests.redraw_airflow.web.page_server import run_pages
from tests.redraw_airflow.web.publications import (
    pointer_record,
    publish,
    release_record,
    report_record,
    version_of,
)

__all__ = ["measure_pages"]

_MODELS, _VERSIONS = 1000, 1000
_AWAY_MILLISECONDS = 20
_READS = 10
# The model with many versions; the list of models does not show it on its first page.
_MODEL = f"model_{_MODELS - 1:04d}"
# After so many seconds a listing is read again.
_LISTING_OLD = 2.1
# The limits to the first byte, in seconds: with a warm and with a cold cache.
_WARM_LIMIT, _COLD_LIMIT = 0.3, 1.5
# As many checks as the shipped model's validation has, with evidence of similar length.
_CHECKS = 29
_CLASS = "class Mnist(ModelDefinition):"
_EVIDENCE = "what was looked at, and what was found there, in a sentence or two of usual length. " * 2
_TOKEN = "for-benchmarks-only"  # noqa: S105 - for a server on loopback
_PAGE = f"{MOUNT}/models/{_MODEL}"
_VERSION = f"{_PAGE}/{version_of(_VERSIONS // 2)}"
_PATHS = {
    "the list of models": f"{MOUNT}/models",
    "a model": _PAGE,
    "a version": _VERSION,
    "two versions": f"{_VERSION}/beside/{version_of(_VERSIONS // 2 - 1)}",
}
_LISTS = {
    "the models by last failure": f"{MOUNT}/models?order=failure",
    "the models whose last run failed": f"{MOUNT}/models?state=failed",
    "the live models of an owner": f"{MOUNT}/models?state=live&owner=team_3",
}


def measure_pages(workshop: Workshop) -> tuple[Comparison, ...]:
    """Request each page from a new server, and then again."""
    folder = workshop.folder / "pages"
    folder.mkdir()
    with _storage(folder, 0):
        workshop.say(f"Publishing {_MODELS:,} models, and {_VERSIONS:,} versions of one.")
        _publish()
    _write_definitions(folder / "definitions" / "many_models")
    (folder / "airflow").mkdir()
    with _storage(folder, _AWAY_MILLISECONDS), ExitStack() as stack:
        servers = _Servers(folder, stack)
        ways: dict[str, Callable[[], Run]] = {f"{_READS} objects in turn": servers.renewed}
        for again in ("", ", again"):
            for name, path in _PATHS.items():
                ways[f"{name}{again}"] = servers.asking(path, _LISTING_OLD if again else 0.0)
        for name, path in _LISTS.items():
            ways[name] = servers.asking(path, 0.0, renew=True)
            ways[f"{name}, again"] = servers.asking(path, _LISTING_OLD)
        series = take_turns(ways, workshop.turns)
    title = f"Pages of {_MODELS:,} models and of {_VERSIONS:,} versions, {_AWAY_MILLISECONDS} ms away"
    return (Comparison(title=title, series=series, notes=dict(map(_note, series[1:]))),)


def _note(series: Series) -> tuple[str, str]:
    limit = _WARM_LIMIT if series.way.endswith(", again") else _COLD_LIMIT
    verdict = "within" if series.seconds <= limit else "ABOVE"
    return series.way, f"{series.seconds:.2f} s, {verdict} {limit} s"


@dataclass
class _Servers:
    """Servers of the pages, one after the other.

    Attributes:
        folder: Their common folder.
        stack: Ends the running server.
        viewer: A client of the running server.
    """

    folder: Path
    stack: ExitStack
    viewer: httpx.Client = field(init=False)

    def renewed(self) -> Run:
        """Start a new server, then read a few objects of the bucket without it."""
        self.stack.close()
        variables = {
            "STORAGE_EMULATOR_HOST": os.environ["STORAGE_EMULATOR_HOST"],
            "REDRAW_STORAGE_TOKEN": _TOKEN,
            "REDRAW_MODEL_BUCKET": "gs://models",
            "REDRAW_CHECKPOINTS": "gs://checkpoints",
            "REDRAW_MODELS": "many_models",
            "PYTHONPATH": os.pathsep.join([os.fspath(self.folder / "definitions"), IMPORT_PATH]),
        }
        pages = self.stack.enter_context(run_pages(self.folder / "airflow", variables))
        self.viewer = self.stack.enter_context(pages.client("viewer"))
        # Has the server read the definitions and import the code, so that only the bucket's objects are left.
        self.viewer.get(f"{MOUNT}/models/unheard_of")
        storage, start = open_storage("gs://models"), time.perf_counter()
        for day in range(_READS):
            storage.read(release_name(_MODEL, version_of(day)))
        return Run(seconds=time.perf_counter() - start)

    def asking(self, path: str, pause: float, *, renew: bool = False) -> Callable[[], Run]:
        """Request a path after an uncounted pause in seconds; `renew` starts a new server first."""

        def run() -> Run:
            if renew:
                self.renewed()
            time.sleep(pause)
            start = time.perf_counter()
            answer = self.viewer.get(path)
            seconds = time.perf_counter() - start
            if answer.status_code != 200:
                raise BenchmarkFailed(f"{path}: expected 200, got {answer.status_code}: {answer.text[:200]}")
            return Run(seconds=seconds)

        return run


@contextmanager
def _storage(folder: Path, milliseconds: int) -> Iterator[None]:
    """Run the storage server with latency, and let this process use it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    arguments = [str(port), os.fspath(folder / "storage"), _TOKEN, str(milliseconds), "models", "checkpoints"]
    os.environ |= {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}", "REDRAW_STORAGE_TOKEN": _TOKEN}
    server = subprocess.Popen([sys.executable, "-m", "benchmarks.far_storage", *arguments], cwd=ROOT)
    try:
        open_storage("gs://models").read("there/is/none")
        yield
    finally:
        server.terminate()
        server.wait()


def _publish() -> None:
    checks = [
        Check(
            name=f"check-{number}", status="passed", looked_at=_EVIDENCE, expected=_EVIDENCE, found=_EVIDENCE
        )
        for number in range(_CHECKS)
    ]
    storage = open_storage("gs://models")

    def publish_version(model: str, day: int) -> None:
        release = replace(release_record(model, day), report=report_record(model, *checks))
        claim = Claim(
            model=release.model,
            version=release.version,
            digest=release.digest,
            checkpoint_digest=release.checkpoint.digest,
            manifest=(),
        )
        storage.create(claim_name(model, release.version), encode_record(claim))
        publish(storage, [release])

    def publish_model(number: int) -> None:
        model = f"model_{number:04d}"
        newest = _VERSIONS - 1 if model == _MODEL else 1
        if newest == 1:
            for day in range(newest + 1):
                publish_version(model, day)
        pointer = encode_record(replace(pointer_record(model, newest), number=1))
        storage.create(numbered_live_name(model, 1), pointer)
        storage.create(live_name(model), pointer)

    in_parallel(lambda day: publish_version(_MODEL, day), range(_VERSIONS))
    in_parallel(publish_model, range(_MODELS))


def _write_definitions(package: Path) -> None:
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    definition = (ROOT / "tasks" / "redraw" / "models" / "mnist.py").read_text()
    for number in range(_MODELS):
        # Different texts, because equal ones are parsed once.
        owned = definition.replace(_CLASS, f'{_CLASS}\n    owner = "team_{number % 7}"')
        (package / f"model_{number:04d}.py").write_text(f"{owned}\n# {number}\n")
