"""A webhook's whole way from a connection to the stage that asks, and to nobody else."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk._shared.secrets_masker import redact

from redraw.errors import InvalidSetting
from redraw_airflow.stages.process import StageProcess
from redraw_airflow.stages.webhooks import find_webhook, grant_webhook

SECRET = "a secret of the receiver"  # noqa: S105 - and of no one else
# Asks for two webhooks, and shows all that it knows of itself.
ASKING = """
import json, os
from redraw.errors import RedrawError
from redraw.publish.events.webhooks import find_webhook
answer = {"environment": dict(os.environ), "arguments": sys.argv, "found": []}
for name in ("deploy", "database"):
    try:
        found = find_webhook(name)
        answer["found"].append([found.url, found.secret])
    except RedrawError as err:
        answer["found"].append(str(err))
print(json.dumps(answer))
"""


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDRAW_WEBHOOKS", "deploy,whole,nobody")
    deploy = {"conn_type": "http", "host": "deploy.example", "port": 8443, "password": SECRET}
    whole = {"conn_type": "http", "host": "http://deploy.example/hooks/private-path", "password": SECRET}
    database = {"conn_type": "postgres", "host": "database.example", "password": "geheim"}
    for name, connection in {"deploy": deploy, "whole": whole, "database": database}.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))


def test_stage_gets_the_webhooks_that_are_configured_and_no_other_connection(
    program: Callable[[str], str],
) -> None:
    asking = StageProcess(stage="push", request={}, gcp_conn_id="none", python=program(ASKING))
    finished = asking.run()
    answer: dict[str, Any] = json.loads(finished.stdout)

    assert answer["found"] == [
        ["https://deploy.example:8443", SECRET],
        "webhook database: expected one of the names in REDRAW_WEBHOOKS, got another name. Add the name to"
        " REDRAW_WEBHOOKS.",
    ]
    for where in (json.dumps([answer["environment"], answer["arguments"]]), *finished.last_lines):
        assert SECRET not in where
    assert "geheim" not in finished.stdout.decode()


@pytest.mark.parametrize(
    ("connection", "url"),
    [
        ({"host": "::1", "port": 8443}, "https://[::1]:8443"),
        ({"host": "[fd00::7]/hooks/1", "schema": "http"}, "http://[fd00::7]/hooks/1"),
        ({"host": "fd00::7/hooks", "port": 8443}, "https://[fd00::7]:8443/hooks"),
        ({"host": "deploy.example/hooks", "port": 8443}, "https://deploy.example:8443/hooks"),
        ({"host": "deploy.example:8443"}, "https://deploy.example:8443"),
    ],
)
def test_find_webhook_takes_addresses_and_paths_of_a_connection(
    connection: dict[str, Any], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_DEPLOY", json.dumps({"conn_type": "http", **connection}))
    assert find_webhook("deploy").url == url


def test_find_webhook_prefers_variables_and_masks_what_a_connection_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = find_webhook("whole")
    assert (found.url, found.secret) == ("http://deploy.example/hooks/private-path", SECRET)
    assert redact(f"{SECRET} and {found.url}") == "*** and ***"
    assert "private-path" not in redact("POST /hooks/private-path HTTP/1.1")
    assert "private-path" not in repr(found)
    assert SECRET not in repr(found)

    monkeypatch.setenv("REDRAW_WEBHOOK_WHOLE_URL", "https://other.example")
    assert find_webhook("whole").url == "https://other.example"
    assert os.environ.get("REDRAW_WEBHOOK_WHOLE_SECRET") is None
    assert find_webhook("whole").secret == ""


@pytest.mark.parametrize("host", ["https://[private-path", "https://deploy.example/redraw"])
def test_find_webhook_masks_no_word_and_shows_nothing_of_what_is_no_url(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WORD", json.dumps({"conn_type": "http", "host": host}))
    if "[" in host:
        with pytest.raises(
            InvalidSetting, match="webhook word: expected a URL in the form https://HOST/PATH"
        ) as raised:
            find_webhook("word")
        assert "private-path" not in str(raised.value)
    else:
        assert find_webhook("word").url == host
    assert redact("redraw events") == "redraw events"


def test_find_webhook_of_a_backend_that_fails_says_which_and_shows_nothing_of_its_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: str) -> None:
        raise RuntimeError("https://vault.example/private-path")

    monkeypatch.setattr("redraw_airflow.stages.webhooks.BaseHook.get_connection", fail)
    with pytest.raises(
        InvalidSetting, match="webhook deploy: expected a connection of this name, got Run"
    ) as raised:
        grant_webhook("deploy")
    assert "private-path" not in str(raised.value)


def test_find_webhook_without_a_connection_says_what_is_missing() -> None:
    with pytest.raises(InvalidSetting, match="webhook nobody: expected a connection of this name, or REDRAW"):
        find_webhook("nobody")
