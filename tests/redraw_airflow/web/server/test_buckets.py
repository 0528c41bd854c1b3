from __future__ import annotations

import json

import pytest

from redraw.errors import BucketNotFound, InvalidName, InvalidSetting
from redraw.storage.opening import open_storage
from redraw_airflow.web.server import buckets
from redraw_airflow.web.server.buckets import CatalogueCounts, model_browser


class Clock:
    """Time that passes when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_count_catalogue_again_only_after_a_minute(bucket: str) -> None:
    clock, storage = Clock(), open_storage(bucket)
    counts = CatalogueCounts(storage, clock)
    found = []
    for step, seconds in enumerate((0, 59, 2)):
        clock.now += seconds
        storage.create(f"mnist/{step}-ab/record.json", b"{}")
        count = counts.of("mnist")
        assert count is not None
        found.append(count.found)

    assert found == [1, 1, 3]


def test_count_catalogue_without_one_says_nothing() -> None:
    assert CatalogueCounts(None).of("mnist") is None


def test_count_catalogue_that_is_missing_fails_by_name(gcs_server: str) -> None:
    with pytest.raises(BucketNotFound, match="redraw-test-absent"):
        CatalogueCounts(open_storage("gs://redraw-test-absent")).of("mnist")


def test_open_model_bucket_demands_one_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDRAW_MODEL_BUCKET", raising=False)
    with pytest.raises(InvalidSetting, match="REDRAW_MODEL_BUCKET: expected gs://BUCKET"):
        model_browser()
    monkeypatch.setenv("REDRAW_MODEL_BUCKET", "gs://models/../secrets")
    with pytest.raises(InvalidName):
        model_browser()


def test_pages_read_by_what_a_changed_connection_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDRAW_MODEL_BUCKET", "gs://models")
    monkeypatch.setenv("REDRAW_WEB_CONNECTION", "shelf")
    cache = buckets._scope.cache
    browsers = []
    for password in ("token-1", "token-1", "token-2"):
        connection = {"conn_type": "redraw", "password": password, "extra": {"is_anonymous": True}}
        monkeypatch.setenv("AIRFLOW_CONN_SHELF", json.dumps(connection))
        browsers.append(model_browser())
        assert model_browser() is browsers[-1]
        cache.clear()  # as time does

    assert browsers[0] is browsers[1]
    assert browsers[1] is not browsers[2]
    tokens = [browser.storage._client._credentials.token for browser in browsers]
    assert tokens == ["token-1", "token-1", "token-2"]
