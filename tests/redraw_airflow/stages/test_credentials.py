"""A service account's whole way: a key in a connection, a token issuer on loopback, a stage that asks."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk._shared.secrets_masker import redact
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import Request

from redraw.errors import StorageForbidden
from redraw.storage.opening import open_storage
from redraw_airflow.stages.credentials import (
    Grants,
    using_connection,
)
from redraw_airflow.stages.process import FinishedStage, StageProcess
from tests.paths import IMPORT_PATH, ROOT

Program = Callable[[str], str]

# Asks twice, as an upload that outlives its token does, and shows all that it knows of itself.
ASKING = """
import json, os
from redraw.storage.credentials import billed_project, storage_credentials
from redraw.errors import RedrawError
answer = {"environment": dict(os.environ), "arguments": sys.argv}
try:
    credentials = storage_credentials()
    answer["kind"], answer["project"] = type(credentials).__name__, billed_project()
    if answer["kind"] == "Credentials":
        answer["first"], answer["valid"] = credentials.token, credentials.valid
        credentials.refresh(None)
        answer["second"], answer["quota"] = credentials.token, credentials.quota_project_id
except RedrawError as err:
    answer["error"] = [type(err).__name__, str(err)]
print(json.dumps(answer))
"""


class TokenIssuer(ThreadingHTTPServer):
    """Gives out numbered tokens, as Google's token endpoint does, or refuses."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), TokenHandler)
        self.grants: list[str] = []
        self.refusal: tuple[int, dict[str, str]] | None = None
        self.url = f"http://127.0.0.1:{self.server_port}/token"


class TokenHandler(BaseHTTPRequestHandler):
    server: TokenIssuer

    def do_POST(self) -> None:  # noqa: N802 - the name that http.server calls
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.grants.append(urllib.parse.parse_qs(body)["grant_type"][0])
        status, answer = self.server.refusal or (200, self._token())
        payload = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _token(self) -> dict[str, Any]:
        return {
            "access_token": f"token-{len(self.server.grants)}",
            "expires_in": 3600,
            "token_type": "Bearer",
        }

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def issuer() -> Iterator[TokenIssuer]:
    server = TokenIssuer()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encoding, layout = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, layout, serialization.NoEncryption()).decode()


def connect(monkeypatch: pytest.MonkeyPatch, name: str, extra: dict[str, Any]) -> None:
    connection = {"conn_type": "google_cloud_platform", "extra": extra}
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))


def connect_account(monkeypatch: pytest.MonkeyPatch, private_key: str, token_url: str) -> None:
    account = {
        "type": "service_account",
        "client_email": "publisher@redraw.iam.gserviceaccount.com",
        "private_key": private_key,
        "private_key_id": "1",
        "token_uri": token_url,
        "project_id": "redraw",
    }
    connect(monkeypatch, "publisher", {"keyfile_dict": json.dumps(account)})


def ask(program: Program, conn_id: str) -> tuple[dict[str, Any], FinishedStage]:
    stage = StageProcess(stage="push", request={}, gcp_conn_id=conn_id, python=program(ASKING))
    finished = stage.run()
    assert finished.returncode == 0, finished.last_lines
    return json.loads(finished.stdout), finished


def test_storage_credentials_of_service_account_are_tokens_and_the_key_stays_here(
    program: Program,
    issuer: TokenIssuer,
    private_key: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    connect_account(monkeypatch, private_key, issuer.url)

    answer, finished = ask(program, "publisher")

    assert (answer["kind"], answer["first"], answer["second"]) == ("Credentials", "token-1", "token-2")
    assert answer["valid"]
    assert issuer.grants == ["urn:ietf:params:oauth:grant-type:jwt-bearer"] * 2
    assert redact("a line of the task's log with token-1") == "a line of the task's log with ***"
    secret = private_key.splitlines()[5]
    for where in (finished.stdout.decode(), caplog.text, json.dumps(answer), *finished.last_lines):
        assert secret not in where
    assert "private_key" not in json.dumps([answer["environment"], answer["arguments"]])


def test_storage_credentials_of_refused_account_are_forbidden(
    program: Program, issuer: TokenIssuer, private_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer.refusal = (400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
    connect_account(monkeypatch, private_key, issuer.url)

    answer, _ = ask(program, "publisher")

    name, message = answer["error"]
    assert name == "StorageForbidden"
    assert message.startswith(
        "connection 'publisher': expected credentials for Cloud Storage, got RefreshError"
    )
    assert "Invalid JWT Signature" in message


def test_storage_credentials_with_issuer_out_of_reach_may_be_asked_again(
    program: Program, unused_port: int, private_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect_account(monkeypatch, private_key, f"http://127.0.0.1:{unused_port}/token")

    answer, _ = ask(program, "publisher")

    assert answer["error"][0] == "StorageUnavailable"


def test_storage_credentials_of_damaged_key_are_forbidden_and_do_not_show_it(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, "publisher", {"keyfile_dict": '{"private_key": "geheim"'})

    answer, finished = ask(program, "publisher")

    assert answer["error"][0] == "StorageForbidden"
    assert "connection 'publisher'" in answer["error"][1]
    assert "geheim" not in finished.stdout.decode()


def test_storage_credentials_of_missing_connection_are_forbidden_and_name_it(program: Program) -> None:
    answer, _ = ask(program, "nobody_made_this")

    assert answer["error"][0] == "StorageForbidden"
    assert (
        "connection 'nobody_made_this': expected a Google Cloud connection, found none" in answer["error"][1]
    )


def test_storage_credentials_without_default_connection_leave_the_search_to_google(program: Program) -> None:
    answer, _ = ask(program, "google_cloud_default")

    assert answer["kind"] == "NoneType"


@pytest.mark.parametrize("key", ["is_anonymous", "extra__google_cloud_platform__is_anonymous"])
def test_storage_credentials_of_anonymous_connection_are_anonymous(
    key: str, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, "local_server", {key: True, "project": "test"})

    answer, _ = ask(program, "local_server")

    assert answer["kind"] == "AnonymousCredentials"


def test_stage_gets_the_token_of_a_local_server_from_the_connection(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = {"conn_type": "google_cloud_platform", "password": "geheim", "extra": {"is_anonymous": True}}
    monkeypatch.setenv("AIRFLOW_CONN_LOCAL_SERVER", json.dumps(connection))

    answer, _ = ask(program, "local_server")

    assert (answer["kind"], answer["first"], answer["second"]) == ("Credentials", "geheim", "geheim")
    assert "geheim" not in json.dumps([answer["environment"], answer["arguments"]])
    assert Grants("local_server").credentials().token == "geheim"  # noqa: S105 - no password
    assert redact("it is geheim") == "it is ***"


def test_stage_gets_the_project_that_pays_from_the_connection(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = {"is_anonymous": True, "user_project": "our-project"}
    connection = {"conn_type": "google_cloud_platform", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_PAYING", json.dumps(connection))

    answer, _ = ask(program, "paying")

    assert answer["project"] == "our-project"
    assert Grants("paying").user_project() == "our-project"


def test_storage_credentials_without_operator_leave_the_search_to_google() -> None:
    look = "from redraw.storage.credentials import *; watch_parent(); print(storage_credentials())"

    answer = subprocess.run(
        [sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert answer.stdout == "None\n"


def test_answer_credentials_imports_google_only_for_a_key(program: Program) -> None:
    python = program(ASKING)
    operator = (
        "import sys; from redraw_airflow.stages.process import StageProcess;"
        f"StageProcess(stage='push', request={{}}, gcp_conn_id='local_server', python={python!r}).run();"
        "expensive = ('google.auth', 'airflow.providers.google.common');"
        "print([name for name in sys.modules if name.startswith(expensive)])"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": IMPORT_PATH,
        "AIRFLOW_CONN_LOCAL_SERVER": json.dumps(
            {"conn_type": "google_cloud_platform", "extra": {"is_anonymous": True}}
        ),
    }

    answer = subprocess.run(
        [sys.executable, "-c", operator], env=environment, capture_output=True, text=True, check=True
    )

    assert answer.stdout == "[]\n"


def test_grants_of_service_account_get_and_renew_tokens_here(
    issuer: TokenIssuer, private_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect_account(monkeypatch, private_key, issuer.url)

    credentials = Grants("publisher").credentials()
    tokens = []
    for _ in range(2):
        credentials.refresh(Request())
        tokens.append(credentials.token)

    assert tokens == ["token-1", "token-2"]


def test_grants_of_anonymous_are_anonymous(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, "local_server", {"is_anonymous": True})

    assert isinstance(Grants("local_server").credentials(), AnonymousCredentials)


def test_grants_without_default_connection_leave_the_search_to_google() -> None:
    assert Grants("google_cloud_default").credentials() is None


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        (
            "absent.json",
            r"FileNotFoundError: \[Errno 2\] No such file or directory: '.*/absent.json'\. Correct",
        ),
        ("folder.json", r"IsADirectoryError: \[Errno 21\] Is a directory: '.*/folder.json'\. Correct"),
        ("key.txt", r"AirflowException: Unrecognised extension for key file\. Correct"),
        ("empty.json", r"\w+: .*\. Correct"),
    ],
)
def test_grants_of_an_unusable_key_file_name_connection_and_cause(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, cause: str
) -> None:
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "empty.json").touch()
    connect(monkeypatch, "publisher", {"key_path": str(tmp_path / name)})
    with pytest.raises(StorageForbidden, match=f"^connection 'publisher': expected credentials.*got {cause}"):
        Grants("publisher").credentials()


def test_grants_of_unusable_connection_are_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, "publisher", {"keyfile_dict": '{"private_key": "geheim"'})

    with pytest.raises(StorageForbidden, match="connection 'publisher'") as refusal:
        Grants("publisher").credentials()
    assert "geheim" not in str(refusal.value)
    with pytest.raises(StorageForbidden, match="'nobody_made_this': expected a Google Cloud connection"):
        Grants("nobody_made_this").credentials()


def test_using_credentials_decides_for_the_buckets_that_are_opened_within() -> None:
    look = (
        "from google.auth.credentials import AnonymousCredentials as Nobody;"
        "from redraw.storage.credentials import *; from redraw.storage.gcs_session import connect\n"
        "with using_credentials('nobody', Nobody): client, session = connect(None)\n"
        "print(type(client._credentials).__name__)"
    )

    answer = subprocess.run(
        [sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )

    assert answer.stdout == "AnonymousCredentials\n"


def _account(private_key: str, token_url: str, name: str) -> dict[str, Any]:
    return {
        "type": "service_account",
        "client_email": f"{name}@redraw.iam.gserviceaccount.com",
        "private_key": private_key,
        "token_uri": token_url,
    }


def _opened_by(name: str) -> Any:
    """The account whose credentials a bucket is opened with now."""
    with using_connection(name):
        return open_storage("gs://models")._client._credentials.service_account_email.partition("@")[0]


def test_bucket_is_opened_with_what_a_changed_connection_says_now(
    issuer: TokenIssuer, private_key: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        keys = json.dumps(_account(private_key, issuer.url, name))
        connect(monkeypatch, "publisher", {"keyfile_dict": keys})
        assert _opened_by("publisher") == name
    assert _opened_by("publisher") == "second"

    file = tmp_path / "key.json"
    connect(monkeypatch, "publisher", {"key_path": str(file)})
    for number, name in enumerate(("third", "fourth")):
        file.write_text(json.dumps(_account(private_key, issuer.url, name)))
        os.utime(file, ns=(number, number))
        assert _opened_by("publisher") == name


def test_bucket_opened_again_by_an_unchanged_connection_shares_its_connections(
    issuer: TokenIssuer, private_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect_account(monkeypatch, private_key, issuer.url)
    clients = []
    for _ in range(2):
        with using_connection("publisher"):
            clients.append(open_storage("gs://models")._client)
    assert clients[0] is clients[1]


def test_scope_of_a_connection_says_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {"conn_type": "google_cloud_platform", "password": "geheim", "extra": {"is_anonymous": True}}
    monkeypatch.setenv("AIRFLOW_CONN_LOCAL_SERVER", json.dumps(connection))
    assert re.fullmatch(r"local_server/[0-9a-f]{64}", Grants("local_server").scope())


def test_token_of_a_changed_connection_is_given_to_a_stage_that_renews(
    issuer: TokenIssuer, private_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect_account(monkeypatch, private_key, issuer.url)
    grants = Grants("publisher")
    tokens = [grants.grant(renew=False)["token"]]
    connection = {"conn_type": "google_cloud_platform", "password": "geheim", "extra": {"is_anonymous": True}}
    monkeypatch.setenv("AIRFLOW_CONN_PUBLISHER", json.dumps(connection))

    tokens += [grants.grant(renew=renew)["token"] for renew in (False, True)]
    assert tokens == ["token-1", "token-1", "geheim"]
