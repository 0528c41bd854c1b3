"""How the pages read the bucket: each object once, not one after the other, and no more for more versions."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from airflow.api_fastapi.common.db.common import _get_session
from fastapi.testclient import TestClient

from redraw.publish.browse import Browser
from redraw.publish.bucket.layout import encode_record, numbered_live_name
from redraw.storage.local import SMALL_BYTES, LocalStorage
from redraw.storage.opening import StoredObject
from redraw_airflow.web import pages
from redraw_airflow.web.app import create_app
from redraw_airflow.web.routes import models
from redraw_airflow.web.server import access
from redraw_airflow.web.server.access import keep_user, reading_user
from redraw_airflow.web.server.buckets import (
    CatalogueCounts,
    model_browser,
    try_browser,
    try_counts,
)
from redraw_airflow.web.server.read_results import ReadResult
from redraw_airflow.web.views.model_runs import ModelRuns
from tests.golden.records import MODEL, VERSION
from tests.paths import ROOT
from tests.redraw_airflow.web.publications import pointer_record, publish, release_record, version_of

# In seconds; only a page that reads in turn waits so long.
_PATIENCE = 20
_VERSIONS = 200


class Watched(LocalStorage):
    """A bucket that counts what is read of it, and gives no graphs before somebody asks for the ledger."""

    def __init__(self, root: Path = ROOT / "tests" / "golden" / "schema-2" / "bucket") -> None:
        super().__init__(root)
        self.reads = Counter[str]()
        self.ledger_wanted = threading.Event()
        self.in_turn = False

    def read_with_generation(self, name: str, most: int = SMALL_BYTES) -> tuple[bytes, int] | None:
        self.reads[name] += 1
        return super().read_with_generation(name, most)

    def walk(self, prefix: str = "", *, deep: bool = True) -> Iterator[StoredObject]:
        self.reads[prefix] += 1
        return super().walk(prefix, deep=deep)

    def folders(self) -> tuple[str, ...]:
        self.reads[""] += 1
        return super().folders()

    def read_range(self, name: str, offset: int, size: int, generation: int | None = None) -> bytes:
        self.reads[name] += 1
        if name.endswith("ledger.json"):
            self.ledger_wanted.set()
        if name.endswith("graphs.json") and not self.ledger_wanted.wait(_PATIENCE):
            self.in_turn = True
        return super().read_range(name, offset, size, generation)

    def taken(self) -> Counter[str]:
        """What was read since this was last asked."""
        taken, self.reads = self.reads, Counter()
        return taken


def _client(storage: Watched, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """A browser of a user who may read everything, in an Airflow that knows of no run."""
    for name in ("may_run", "may_publish", "offers_trials"):
        monkeypatch.setitem(pages._TEMPLATES.globals, name, lambda *_: False)
    monkeypatch.setattr(models, "find_model_runs", lambda _, known, __: dict.fromkeys(known, ModelRuns()))
    monkeypatch.setattr(models, "dag_exists", lambda _: False)
    for module in (models, access):
        monkeypatch.setattr(module, "reads_every_model", lambda _: True)
    browser, app = Browser(storage), create_app()
    app.dependency_overrides = dict.fromkeys((reading_user, keep_user, _get_session), lambda: None)
    app.dependency_overrides[model_browser] = lambda: browser
    app.dependency_overrides[try_browser] = lambda: ReadResult(content=browser)
    app.dependency_overrides[try_counts] = lambda: ReadResult(content=CatalogueCounts(None))
    return TestClient(app)


def test_show_version_reads_each_object_once_and_together(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched()
    with _client(watched, monkeypatch) as client:
        answer = client.get(f"/models/{MODEL}/{VERSION}")

    assert answer.status_code == 200
    assert f"{MODEL}/releases/{VERSION}.json" in watched.reads
    assert {name: count for name, count in watched.reads.items() if count > 1} == {}
    assert sum(name.endswith(("graphs.json", "ledger.json", "latency.json")) for name in watched.reads) == 3
    assert not watched.in_turn


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model with many versions, and two hundred others with a version each."""
    root = tmp_path_factory.mktemp("bucket")
    storage = LocalStorage(root)
    publish(storage, (release_record("mnist", day) for day in range(_VERSIONS)))
    pointer = replace(pointer_record("mnist", _VERSIONS - 2), number=7)
    publish(storage, [], pointer)
    storage.create(numbered_live_name("mnist", 7), encode_record(pointer))
    publish(storage, (release_record(f"model_{number:03d}", 0) for number in range(200)))
    return root


@pytest.fixture
def many_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Definitions of all of them."""
    package = tmp_path / "many_definitions"
    package.mkdir()
    for name in ("__init__", "mnist", *(f"model_{number:03d}" for number in range(200))):
        (package / f"{name}.py").write_text(f'"""{name}."""\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("REDRAW_MODELS", package.name)


# The pointer takes two requests the first time: its copy, and the number after it.
@pytest.mark.parametrize(
    ("path", "first", "again"),
    [
        ("/models/mnist", 25 + 1 + 2, 1 + 1),
        # Among them a listing of what model servers showed.
        (f"/models/mnist/{version_of(100)}", 1 + 1 + 1 + 1 + 1 + 2, 1 + 1 + 1 + 1 + 1),
        (f"/models/mnist/{version_of(100)}/beside/{version_of(99)}", 2 + 1 + 2, 2 + 1),
        # Of 30 models on a page: the pointer, the listing, the newest record; and once the folders.
        ("/models", 30 * 4 + 1 + 19, 30),
    ],
)
def test_pages_take_as_few_requests_with_many_versions_as_with_few(
    path: str, first: int, again: int, bucket: Path, many_models: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(bucket)
    with _client(watched, monkeypatch) as client:
        assert client.get(path).status_code == 200
        asked = watched.taken()
        assert asked.total() <= first, asked
        assert max(asked.values()) == 1, asked
        assert client.get(path).status_code == 200
        assert watched.taken().total() <= again


class Slow(Watched):
    """A bucket that lists the versions of one model when it may."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.may = threading.Event()

    def walk(self, prefix: str = "", *, deep: bool = True) -> Iterator[StoredObject]:
        if prefix == "model_150/releases/":
            self.may.wait(_PATIENCE)
        return super().walk(prefix, deep=deep)


def test_sorted_models_are_listed_before_all_are_read_and_say_so(
    bucket: Path, many_models: None, monkeypatch: pytest.MonkeyPatch, until: Callable[..., None]
) -> None:
    monkeypatch.setattr(models, "_PATIENCE", 0)
    slow = Slow(bucket)
    with _client(slow, monkeypatch) as client:
        # 201 models, 64 at once: the third part cannot be read to its end.
        waiting = "Still reading 73 models from the bucket"
        until(lambda: waiting in client.get("/models?order=versions&text=model_00").text, "two parts", 60)
        assert (
            "/models?text=model_00&amp;state=&amp;owner=&amp;order=versions"
            in client.get("/models?order=versions&text=model_00").text
        )
        listed = client.get("/models?order=versions").text
        assert listed.index("/models/mnist") < listed.index("/models/model_000")
        assert "/models/model_150" not in listed
        slow.may.set()
        until(lambda: "Still reading" not in client.get("/models?order=versions").text, "the rest", 60)
