"""What says which version is live is lost in every combination, and put back from what is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import chain, combinations
from typing import Any

import pytest

from redraw.errors import ObjectConflict, VersionNotFound
from redraw.publish.changes import list_events
from redraw.publish.live.pin import pin_version
from redraw.publish.live.pointer import read_pointer
from redraw.publish.live.serving_config import read_served_labels
from redraw.publish.live.set_live import change_live
from redraw.publish.push.push import push_model
from redraw.publish.recover import recover_pointer
from redraw.records import LivePointer
from redraw.requests import EventsRequest, LiveRequest, PinRequest, RecoverRequest
from redraw.storage.opening import Storage, open_storage

pytestmark = pytest.mark.usefixtures("gcs_server", "loadable")

KINDS = ("live.json", "live/", "models.config")
LOSSES = [*chain.from_iterable(combinations(KINDS, count) for count in range(len(KINDS) + 1))]


@pytest.fixture
def storage(bucket: str) -> Storage:
    """The model bucket."""
    return open_storage(bucket)


@pytest.fixture
def before(bucket: str, make_export: Any) -> LivePointer:
    """Three versions: the second is live, the third the canary, and the first is pinned."""
    times = (f"2024-0{month}-01T00:00:00Z" for month in (1, 2, 3))
    first, second, third = (
        push_model(make_export(trained_at=time).request(bucket, make_live=number == 0)).version
        for number, time in enumerate(times)
    )
    change_live(LiveRequest(model="digits", bucket=bucket, set=second))
    change_live(LiveRequest(model="digits", bucket=bucket, set=third, label="canary"))
    return pin_version(PinRequest(model="digits", bucket=bucket, version=first, reason="audit"))


@pytest.fixture
def recover(bucket: str) -> Callable[..., LivePointer]:
    """Puts the pointer back, or shows it."""
    return lambda apply=True: recover_pointer(RecoverRequest(model="digits", bucket=bucket, apply=apply))


def _lose(storage: Storage, kinds: tuple[str, ...], content: bytes | None = None) -> None:
    for item in storage.list("digits/"):
        if any(item.name.startswith(f"digits/{kind}") for kind in kinds):
            if content is None:
                storage.delete(item.name, item.generation)
            else:
                storage.replace(item.name, content, item.generation)


_SERVED = 'model_config_list { config { name: "digits" version_labels { key: "stable" value: 1 } %s } }'


@pytest.mark.parametrize(
    "served",
    [
        _SERVED % 'version_labels { key: "canary" value: -7 }',
        _SERVED % 'version_labels { key: "\\033[2J" value: 1 }',
        "custom_model_config { " + "[type.googleapis.com/google.protobuf.Any] { " * 3000 + "} " * 3001,
    ],
    ids=["version", "label", "deep"],
)
def test_recover_writes_nothing_of_a_configuration_that_no_pointer_can_hold(
    storage: Storage, before: LivePointer, recover: Callable[..., LivePointer], served: str
) -> None:
    _lose(storage, ("live.json", "live/"))
    _lose(storage, ("models.config",), served.encode())
    with pytest.raises(VersionNotFound, match="found no readable pointer"):
        recover()
    assert storage.read("digits/live.json") is None


@pytest.mark.parametrize("content", [None, b"{}", b"\xff"], ids=["gone", "empty", "damaged"])
@pytest.mark.parametrize("kinds", LOSSES[:-1], ids=" and ".join)
def test_recover_puts_back_what_is_lost(
    storage: Storage,
    before: LivePointer,
    recover: Callable[..., LivePointer],
    kinds: tuple[str, ...],
    content: bytes | None,
) -> None:
    _lose(storage, kinds, content)
    left = storage.list("digits/")

    shown = recover(apply=False)
    assert storage.list("digits/") == left
    recovered = recover()
    if set(kinds) == {"live.json", "live/"}:  # no history is left: what was written is an event of its own
        assert shown.history == ()
        (event,) = recovered.events
        assert (event.kind, event.version, event.reason) == (
            "live",
            before.version,
            "recovered: its history is lost",
        )
        listed = list_events(EventsRequest(model="digits", bucket=str(storage.uri))).events
        assert [one for one in listed if one.kind == "live"] == [event]
        shown = replace(shown, history=recovered.history)
    assert recovered == shown

    assert (shown.version, shown.labels) == (before.version, before.labels)
    assert read_pointer(storage, before.model) == shown
    assert read_served_labels(storage, "digits") == before.labels
    if set(kinds) != {"live.json", "live/"}:
        assert (shown.pinned, shown.previous, shown.history) == (
            before.pinned,
            before.previous,
            before.history,
        )
    assert recover() == shown  # once more changes nothing


def test_recover_takes_the_newest_number_that_can_be_read(
    storage: Storage,
    before: LivePointer,
    recover: Callable[..., LivePointer],
    caplog: pytest.LogCaptureFixture,
) -> None:
    _lose(storage, ("live.json",))
    _lose(storage, (f"live/{before.number:08d}",), b"{}")
    assert recover().version == before.version
    assert "skipped" in caplog.text


def test_recover_without_anything_left_says_what_to_do(
    storage: Storage, before: LivePointer, recover: Callable[..., LivePointer]
) -> None:
    _lose(storage, KINDS)
    with pytest.raises(
        VersionNotFound, match="live.json: found no readable pointer, numbered pointer or models.config"
    ):
        recover()


def test_recover_of_a_version_that_lost_an_object_is_refused(
    storage: Storage, before: LivePointer, recover: Callable[..., LivePointer]
) -> None:
    _lose(storage, ("live.json", f"{before.version}/saved_model.pb"))
    with pytest.raises(ObjectConflict, match="saved_model.pb"):
        recover()
