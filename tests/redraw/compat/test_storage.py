from __future__ import annotations

import os
from pathlib import Path

import pytest
from google.api_core import exceptions as api
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import AuthorizedSession
from google.cloud import storage

from redraw.compat.storage import blob_resource, client_over, would_retry


def test_client_over_sends_its_requests_over_the_session(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = AnonymousCredentials()
    sent: list[str] = []
    with AuthorizedSession(credentials) as session:
        ask = session.request
        monkeypatch.setattr(
            session, "request", lambda *a, **k: sent.append(str(k.get("url", a))) or ask(*a, **k)
        )
        client = client_over(session, credentials)
        blob = client.bucket(bucket.removeprefix("gs://")).blob("a")
        blob.upload_from_string(b"four")
        assert any(bucket.removeprefix("gs://") in url for url in sent)
        resource = blob_resource(blob)
        assert (resource["name"], int(resource["size"])) == ("a", 4)
        assert resource["generation"]


def test_client_over_asks_for_no_bucket_s_metadata(gcs_server: str) -> None:
    credentials = AnonymousCredentials()
    with AuthorizedSession(credentials) as session:
        client_over(session, credentials)
    assert os.environ["DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA"] == "true"
    sources = Path(storage.__file__).parent.rglob("*.py")
    assert any("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA" in path.read_text() for path in sources)


def test_would_retry_is_the_clients_own_policy() -> None:
    assert would_retry(api.ServiceUnavailable("later"))
    assert would_retry(ConnectionResetError())
    assert not would_retry(api.Forbidden("never"))
