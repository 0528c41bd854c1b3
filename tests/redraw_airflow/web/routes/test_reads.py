"""How a version's page reads the bucket: each object once, and not one after the other."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from airflow.api_fastapi.common.db.common import _get_session
from fastapi.testclient import TestClient

from redraw.publish.browse import Browser
from redraw.storage.local import SMALL_BYTES, LocalStorage
from redraw_airflow.web import pages
from redraw_airflow.web.app import create_app
from redraw_airflow.web.server.access import keep_user, reading_user
from redraw_airflow.web.server.buckets import model_browser
from tests.golden.records import MODEL, VERSION
from tests.paths import ROOT

# In seconds; only a page that reads in turn waits so long.
_PATIENCE = 20


class Watched(LocalStorage):
    """A bucket that counts what is read of it, and gives no graphs before somebody asks for the ledger."""

    def __init__(self) -> None:
        super().__init__(ROOT / "tests" / "golden" / "schema-2" / "bucket")
        self.reads = Counter[str]()
        self.ledger_wanted = threading.Event()
        self.in_turn = False

    def read_with_generation(self, name: str, most: int = SMALL_BYTES) -> tuple[bytes, int] | None:
        self.reads[name] += 1
        return super().read_with_generation(name, most)

    def read_range(self, name: str, offset: int, size: int, generation: int | None = None) -> bytes:
        self.reads[name] += 1
        if name.endswith("ledger.json"):
            self.ledger_wanted.set()
        if name.endswith("graphs.json") and not self.ledger_wanted.wait(_PATIENCE):
            self.in_turn = True
        return super().read_range(name, offset, size, generation)


def test_show_version_reads_each_object_once_and_together(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("may_run", "may_publish", "offers_trials"):
        monkeypatch.setitem(pages._TEMPLATES.globals, name, lambda *_: False)
    watched = Watched()
    app = create_app()
    app.dependency_overrides = dict.fromkeys((reading_user, keep_user, _get_session), lambda: None)
    app.dependency_overrides[model_browser] = lambda: Browser(watched)
    with TestClient(app) as client:
        answer = client.get(f"/models/{MODEL}/{VERSION}")

    assert answer.status_code == 200
    assert f"{MODEL}/releases/{VERSION}.json" in watched.reads
    assert {name: count for name, count in watched.reads.items() if count > 1} == {}
    assert sum(name.endswith(("graphs.json", "ledger.json", "latency.json")) for name in watched.reads) == 3
    assert not watched.in_turn
