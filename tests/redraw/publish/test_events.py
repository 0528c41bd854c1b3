"""Events of changes: by webhooks to every kind of host, in the printed record, and by the bucket later."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from redraw.publish.bucket.layout import encode_record, read_release, release_name
from redraw.publish.changes import list_events
from redraw.publish.events import deliver
from redraw.publish.events.webhooks import Webhook
from redraw.publish.live.pin import pin_version
from redraw.publish.live.set_live import change_live
from redraw.publish.prune.prune import prune_versions
from redraw.publish.push.push import push_model
from redraw.publish.releases import list_releases
from redraw.records.events import ModelEvent
from redraw.requests import EventsRequest, LiveRequest, PinRequest, PruneRequest, ReleasesRequest
from redraw.storage.opening import open_storage
from redraw.uri import Uri
from tests.publishing.webhook_server import SECRET, WebhookServer, run_webhook_server

pytestmark = pytest.mark.usefixtures("gcs_server", "loadable")

Hook = Callable[..., None]


@pytest.fixture
def server() -> Iterator[WebhookServer]:
    with run_webhook_server() as running:
        yield running
    for thread in threading.enumerate():
        if thread.name.startswith("webhook-"):  # given up, and ended by the server's end
            thread.join(5)


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch, server: WebhookServer) -> Hook:
    """Configure webhooks, name to path or URL, whose hosts are given up soon."""
    monkeypatch.setattr(deliver, "_ANSWER_SECONDS", 0.4)
    monkeypatch.setattr(deliver, "_PAUSES", (0.0, 0.01, 0.01))
    monkeypatch.setattr(deliver, "_MOST_SECONDS", 3.0)
    monkeypatch.setattr(deliver, "_failed", {})

    def configure(secret: str = SECRET, **hooks: str) -> None:
        monkeypatch.setenv("REDRAW_WEBHOOKS", ",".join(hooks))
        for name, place in hooks.items():
            url = place if place.startswith("http") else f"{server.url}/{place}"
            monkeypatch.setenv(f"REDRAW_WEBHOOK_{name.upper()}_URL", url)
            monkeypatch.setenv(f"REDRAW_WEBHOOK_{name.upper()}_SECRET", secret)

    return configure


def _events(bucket: str, **fields: Any) -> tuple[ModelEvent, ...]:
    return list_events(EventsRequest(model="digits", bucket=bucket, **fields)).events


def _live(bucket: str, version: int | None = None, **fields: Any) -> tuple[ModelEvent, ...]:
    return change_live(LiveRequest(model="digits", bucket=bucket, set=version, **fields)).events


def test_every_change_is_delivered_once_signed_and_can_be_sent_again(
    bucket: str, make_export: Any, hook: Hook, server: WebhookServer
) -> None:
    hook(deploy="ok")
    old, new = (
        push_model(make_export(trained_at=f"2024-0{month}-01T00:00:00Z").request(bucket, make_live=month > 1))
        for month in (1, 2)
    )
    printed = [*old.events, *new.events]
    printed += _live(bucket, old.version, label="canary", by="ada", reason="a first look")
    printed += _live(bucket, label="canary", remove_label=True)
    pin = PinRequest(model="digits", bucket=bucket, version=old.version, reason="audit", by="ada")
    printed += pin_version(pin).events
    printed += pin_version(PinRequest(model="digits", bucket=bucket, version=old.version, unpin=True)).events
    printed += prune_versions(
        PruneRequest(model="digits", bucket=bucket, keep=1, apply=True, by="bob")
    ).events

    sent = [request.event() for request in server.received]
    assert all(request.is_signed() for request in server.received)
    assert [event.get_type().removeprefix("redraw.version.") for event in sent] == [
        "push",
        "push",
        "live",
        "label",
        "unlabel",
        "pin",
        "unpin",
        "prune",
    ]
    assert len({event.get_id() for event in sent}) == len(sent) == len(printed)
    assert [event.get_id() for event in sent] == [event.id for event in printed]
    assert all(event.get_source() == f"{bucket}/digits" for event in sent)
    label = sent[3].get_data()
    assert (label["version"], label["by"], label["reason"]) == (old.version, "ada", "a first look")
    assert (label["digest"], label["metrics"]) == (old.digest, old.checkpoint.metrics)
    assert label["uri"] == old.uri == f"{bucket}/digits/{sent[3].get_subject()}"
    assert sent[-1].get_data()["by"] == "bob"
    assert not any(event.undelivered for event in printed)

    # The bucket knows all of it, and sends the same bytes again.
    first, server.received[:] = list(server.received), []
    assert {event.id: event for event in _events(bucket)} == {event.id: event for event in printed}
    _events(bucket, deliver=True)
    assert sorted(request.body for request in server.received) == sorted(request.body for request in first)


def test_change_is_delivered_to_an_ipv6_address(bucket: str, make_export: Any, hook: Hook) -> None:
    with run_webhook_server("::1") as server:
        hook(deploy=f"{server.url}/ok", down="http://[::1]:1/private")
        release = push_model(make_export().request(bucket))
        (received,) = server.received
    assert received.headers["host"].startswith("[::1]:")
    assert [event.undelivered for event in release.events] == [
        ("webhook down (::1): expected status 2xx, got no connection (ConnectionError)",)
    ]


def test_command_that_changes_nothing_has_no_event(bucket: str, make_export: Any, hook: Hook) -> None:
    hook(deploy="ok")
    release = push_model(make_export().request(bucket))
    assert _live(bucket) == ()
    assert prune_versions(PruneRequest(model="digits", bucket=bucket, keep=0)).events == ()
    assert [event.kind for event in _events(bucket)] == ["push"]
    assert _events(bucket, since="2999-01-01T00:00:00Z") == ()
    assert [event.version for event in _events(bucket, since=release.pushed_at)] == [release.version]


def test_changes_by_a_clock_that_is_behind_are_listed_in_their_order_and_since_a_time_before(
    bucket: str, make_export: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = push_model(make_export().request(bucket, make_live=True))
    ahead, behind = "2098-01-01T00:00:00Z", "2001-01-01T00:00:00Z"
    monkeypatch.setattr("redraw.publish.live.set_live.now", lambda: ahead)
    _live(bucket, release.version, label="canary")
    monkeypatch.setattr("redraw.publish.live.set_live.now", lambda: behind)
    _live(bucket, label="canary", remove_label=True)
    assert [event.kind for event in _events(bucket)] == ["push", "live", "label", "unlabel"]
    assert [(event.kind, event.at) for event in _events(bucket, since=ahead)] == [
        ("label", ahead),
        ("unlabel", behind),
    ]


def test_change_that_is_asked_for_twice_has_one_id_and_changes_of_one_second_have_several(
    bucket: str, make_export: Any, hook: Hook, server: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook(deploy="ok")
    request = make_export().request(bucket)
    first, again = push_model(request), push_model(request)
    assert first.events == again.events
    seconds = iter(range(100))
    monkeypatch.setattr(
        "redraw.publish.live.set_live.now", lambda: f"2026-01-01T00:00:{next(seconds) // 10:02}Z"
    )
    ids = [_live(bucket, first.version)[0].id for _ in range(2)]
    assert ids[0] == ids[1]
    for _ in range(12):  # more than a pointer shows of its history, and many of them alike
        ids += [event.id for event in _live(bucket, first.version, label="canary")]
        ids += [event.id for event in _live(bucket, label="canary", remove_label=True)]
    assert len(set(ids)) == 25
    assert {event.id for event in _events(bucket)} == {first.events[0].id, *ids}
    assert len(server.received) == 2 + 2 + 24


def test_damaged_pointer_holds_up_no_event(
    bucket: str, make_export: Any, caplog: pytest.LogCaptureFixture
) -> None:
    release = push_model(make_export().request(bucket, make_live=True))
    for _ in range(3):
        _live(bucket, release.version, label="canary")
        _live(bucket, label="canary", remove_label=True)
    whole, storage = _events(bucket), open_storage(bucket)
    damaged = "digits/live/00000003.json"
    found = storage.stat(damaged)
    assert found is not None
    storage.replace(damaged, b"{", found.generation)
    assert _events(bucket) == whole
    assert f"skipped: {bucket}/{damaged}: expected" in caplog.text


def test_record_that_says_it_lies_elsewhere_makes_no_event_of_another_model(
    bucket: str, make_export: Any
) -> None:
    request = make_export().request(bucket)
    release, storage = push_model(request), open_storage(bucket)
    found = storage.stat(release_name("digits", release.version))
    assert found is not None
    forged = replace(release, uri=Uri("gs://production/digits/1"))
    storage.replace(found.name, encode_record(forged), found.generation)
    assert _events(bucket) == ()
    expected = release.events[0].to_cloud_event()
    assert [event.to_cloud_event() for event in push_model(request).events] == [expected]


def test_version_whose_record_cannot_be_believed_is_sent_to_nobody(
    bucket: str,
    make_export: Any,
    hook: Hook,
    server: WebhookServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    private, public = tmp_path / "own.pem", tmp_path / "own.pub"
    for command in (
        f"ecparam -name prime256v1 -genkey -noout -out {private}",
        f"ec -in {private} -pubout -out {public}",
    ):
        subprocess.run(["openssl", *command.split()], check=True, capture_output=True)
    releases = [
        push_model(replace(export.request(bucket, make_live=True), signing_key=str(private)))
        for export in (make_export(trained_at=f"2024-0{month}-01T00:00:00Z") for month in (1, 2, 3))
    ]
    prune_versions(PruneRequest(model="digits", bucket=bucket, keep=0, apply=True))
    monkeypatch.setenv("REDRAW_VERIFY_KEY", str(public))
    believed = _events(bucket)
    assert sorted(event.kind for event in believed) == ["live"] * 3 + ["prune"] + ["push"] * 3

    storage, name = open_storage(bucket), release_name("digits", releases[2].version)
    found = storage.read_with_generation(name)
    assert found is not None
    forged = json.loads(found[0])
    forged["checkpoint"]["metrics"] = {"accuracy": 1.0}
    storage.replace(name, json.dumps(forged).encode(), found[1])
    hook(deploy="ok")
    sent = _events(bucket, deliver=True)
    assert sent == tuple(event for event in believed if event.version != releases[2].version)
    assert len(server.received) == len(sent) == 5
    assert f"skipped: {bucket}/{name}: expected a signature of this content" in caplog.text
    # Its label is moved all the same; what the event says of it is nothing that only the record says.
    (event,) = pin_version(
        PinRequest(model="digits", bucket=bucket, version=releases[2].version, reason="audit")
    ).events
    assert (event.digest, event.metrics) == (None, {})


def test_events_that_somebody_wrote_into_a_record_are_no_events(bucket: str, make_export: Any) -> None:
    release, storage = push_model(make_export().request(bucket, make_live=True)), open_storage(bucket)
    for name in ("digits/live.json", release_name("digits", release.version)):
        found = storage.read_with_generation(name)
        assert found is not None
        forged = {**json.loads(found[0]), "events": release.to_json()["events"]}
        storage.replace(name, json.dumps(forged).encode(), found[1])
    assert _live(bucket) == ()
    (listed,) = list_releases(ReleasesRequest(model="digits", bucket=bucket)).releases
    assert listed.events == ()


HOSTS = {
    "flaky": "",
    "500": "expected status 2xx, got 500",
    "301": "expected status 2xx, got 301; redirects are not followed",
    "307": "expected status 2xx, got 307; redirects are not followed",
    "401": "expected status 2xx, got 401",
    "hang": "expected status 2xx, got no answer in 0.4 s",
    "drip": "expected an answer within 3 s, got none",
    "http://127.0.0.1:9": "expected status 2xx, got no connection (ConnectionError)",
    "http://no-such-host.invalid": "expected status 2xx, got no connection (ConnectionError)",
}
# How often each is asked; as often as there are pauses, unless trying again is of no use.
TRIES = {"301": 1, "307": 1, "401": 1, "drip": 1}


@pytest.mark.parametrize("host", HOSTS)
def test_host_that_fails_is_one_warning_and_in_the_record_and_the_publication_stands(
    host: str,
    bucket: str,
    make_export: Any,
    hook: Hook,
    server: WebhookServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hook(deploy=f"{host}/private-path", other="ok")
    started = time.monotonic()
    with caplog.at_level(logging.DEBUG, "redraw"):
        release = push_model(make_export().request(bucket))

    assert time.monotonic() - started < 8
    assert read_release(open_storage(bucket), "digits", release.version) == release
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    (event,) = release.events
    if HOSTS[host]:
        (line,), (reason,) = said, event.undelivered
        assert reason.startswith("webhook deploy")
        assert HOSTS[host] in reason
        assert line.startswith(reason)
        assert f"redraw events --model digits --bucket {bucket} --since {event.at} --deliver" in line
    else:
        assert (said, event.undelivered) == ([], ())
    for text in (caplog.text, str(release.to_json())):
        assert "private-path" not in text
        assert SECRET not in text
    asked = [request for request in server.received if request.path.endswith("private-path")]
    if not host.startswith("http"):
        assert len(asked) == TRIES.get(host, 3)
    assert {request.headers["webhook-id"] for request in asked} <= {event.id}
    assert all(request.is_signed() for request in asked)
    others = [request for request in server.received if request not in asked]
    assert [request.path for request in others] == ["/ok"]


@pytest.mark.parametrize(("host", "tries"), [("500", 3), ("drip", 1)])
def test_host_that_failed_is_left_alone_by_the_rest_of_a_batch(
    host: str,
    tries: int,
    bucket: str,
    make_export: Any,
    hook: Hook,
    server: WebhookServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hook(deploy=host)
    monkeypatch.setattr(deliver, "_MOST_SECONDS", 0.5)
    releases = [
        push_model(make_export(trained_at=f"2024-0{month}-01T00:00:00Z").request(bucket)) for month in (1, 2)
    ]
    assert len(server.received) == tries
    assert "not tried again within" in releases[1].events[0].undelivered[0]


@pytest.mark.parametrize(
    ("asked", "tries"), [("0", 3), ("3600", 1), ("99999999999999999999", 3), ("soon", 3), ("-1", 3)]
)
def test_host_that_asks_for_patience_is_asked_again_only_if_that_is_short(
    asked: str, tries: int, bucket: str, make_export: Any, hook: Hook, server: WebhookServer
) -> None:
    hook(deploy=f"429/{asked}")
    (event,) = push_model(make_export().request(bucket)).events
    assert len(server.received) == tries
    assert "expected status 2xx, got 429" in event.undelivered[0]
    assert ("with Retry-After: 3600 s" in event.undelivered[0]) == (asked == "3600")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"URL": None}, "webhook deploy: expected its URL in REDRAW_WEBHOOK_DEPLOY_URL, or in Airflow"),
        ({"URL": "ftp://private-path"}, "webhook deploy: expected a URL in the form https://HOST/PATH"),
        ({"URL": "https://[private-path"}, "webhook deploy: expected a URL in the form https://HOST/PATH"),
        (
            {"URL": "https://x\r\nprivate-path: 1"},
            "webhook deploy: expected a URL in the form https://HOST/PATH",
        ),
        ({"SECRET": None}, "webhook deploy (127.0.0.1): expected a secret for signatures"),
        ({"SECRET": "whsec_private-path"}, "webhook deploy: expected base64 after whsec_"),
        ({"": "deploy,*"}, "REDRAW_WEBHOOKS: expected names with a comma between them"),
        ({"": "https://x.example/private-path"}, "REDRAW_WEBHOOKS: expected names with a comma"),
    ],
)
def test_configuration_that_is_wrong_is_said_and_the_publication_stands(
    variables: dict[str, str | None],
    expected: str,
    bucket: str,
    make_export: Any,
    hook: Hook,
    monkeypatch: pytest.MonkeyPatch,
    server: WebhookServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hook(deploy="ok")
    for name, value in variables.items():
        variable = f"REDRAW_WEBHOOK_DEPLOY_{name}" if name else "REDRAW_WEBHOOKS"
        monkeypatch.delenv(variable) if value is None else monkeypatch.setenv(variable, value)
    (event,) = push_model(make_export().request(bucket)).events
    (reason,) = event.undelivered
    assert reason.startswith(expected)
    assert "private-path" not in reason + caplog.text
    assert not server.received


def test_secret_of_any_text_signs(bucket: str, make_export: Any, hook: Hook, server: WebhookServer) -> None:
    hook("plain text", deploy="ok")
    push_model(make_export().request(bucket))
    (request,) = server.received
    assert request.is_signed(b"plain text")
    assert abs(time.time() - int(request.headers["webhook-timestamp"])) < 60


def test_webhook_shows_neither_its_url_nor_its_secret() -> None:
    webhook = Webhook(name="team", url="https://hooks.example/T0KEN", secret=SECRET)
    assert webhook.label == "webhook team (hooks.example)"
    for shown in (repr(webhook), str(webhook), webhook.label):
        assert "T0KEN" not in shown
        assert SECRET not in shown


def test_port_that_takes_a_connection_and_answers_nothing_is_given_up(
    bucket: str, make_export: Any, hook: Hook
) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1)
        hook(deploy=f"http://127.0.0.1:{listening.getsockname()[1]}")
        (event,) = push_model(make_export().request(bucket)).events
    assert "got no answer in 0.4 s" in event.undelivered[0]
