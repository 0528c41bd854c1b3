from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from redraw.errors import (
    BucketNotFound,
    InvalidRecord,
    InvalidRequest,
    NotLoadable,
    ObjectConflict,
    OlderThanLive,
    VersionNotFound,
)
from redraw.publish.live import set_live
from redraw.publish.live.set_live import change_live
from redraw.publish.push.push import push_model
from redraw.publish.releases import list_releases
from redraw.records import LivePointer
from redraw.requests import LiveRequest, ReleasesRequest
from redraw.storage.opening import open_storage

pytestmark = pytest.mark.usefixtures("gcs_server", "loadable")


def _live(bucket: str, version: int | None = None, **fields: Any) -> LivePointer:
    return change_live(LiveRequest(model="digits", bucket=bucket, set=version, **fields))


def _config(bucket: str) -> Any:
    content = open_storage(bucket).read("digits/models.config")
    assert content is not None
    (config,) = text_format.Parse(content.decode(), ModelServerConfig()).model_config_list.config
    return config


def _served(bucket: str) -> tuple[str, str, list[int]]:
    config = _config(bucket)
    assert config.model_platform == "tensorflow"
    return config.name, config.base_path, list(config.model_version_policy.specific.versions)


@pytest.fixture
def versions(bucket: str, make_export: Any) -> list[int]:
    """Three published versions, the oldest weights first; none is live."""
    times = (f"2024-0{month}-01T00:00:00Z" for month in (1, 2, 3))
    return [push_model(make_export(trained_at=time).request(bucket)).version for time in times]


def test_live_never_set_shows_none(bucket: str) -> None:
    assert _live(bucket) == LivePointer(model="digits", version=None, previous=None)
    assert list_releases(ReleasesRequest(model="digits", bucket=bucket)).releases == ()
    assert open_storage(bucket).list() == []


def test_live_shown_brings_back_a_copy_and_a_configuration_left_behind(
    bucket: str, versions: list[int]
) -> None:
    storage, names = open_storage(bucket), ("digits/live.json", "digits/models.config")
    _live(bucket, versions[0])
    old = [storage.read(name) for name in names]
    _live(bucket, versions[1])
    current = [storage.read(name) for name in names]
    for name, content in zip(names, old, strict=True):
        found = storage.stat(name)
        assert found is not None
        assert content is not None
        storage.replace(name, content, found.generation)

    assert _live(bucket).version == versions[1]
    assert [storage.read(name) for name in names] == current


def test_live_missing_bucket_says_so() -> None:
    with pytest.raises(BucketNotFound):
        _live("gs://no-such-bucket-here")
    with pytest.raises(BucketNotFound):
        list_releases(ReleasesRequest(model="digits", bucket="gs://no-such-bucket-here"))


def test_live_set_moves_the_pointer_and_keeps_the_history(bucket: str, versions: list[int]) -> None:
    _live(bucket, versions[0])
    pointer = _live(bucket, versions[2])
    assert (pointer.version, pointer.previous) == (versions[2], versions[0])
    assert [change.version for change in pointer.history] == [versions[0], versions[2]]
    assert _live(bucket) == pointer
    assert _served(bucket) == ("digits", f"{bucket}/digits", [versions[2]])
    listed = list_releases(ReleasesRequest(model="digits", bucket=bucket))
    assert listed.live == versions[2]
    assert [release.version for release in listed.releases] == versions[::-1]


def test_live_set_same_version_again_changes_nothing(bucket: str, versions: list[int]) -> None:
    first = _live(bucket, versions[0])
    before = open_storage(bucket).list()
    assert _live(bucket, versions[0]) == first
    assert open_storage(bucket).list() == before


def test_live_set_again_mends_a_config_left_behind(bucket: str, versions: list[int]) -> None:
    _live(bucket, versions[0])
    storage = open_storage(bucket)
    stale = storage.read_with_generation("digits/models.config")
    assert stale is not None
    _live(bucket, versions[1])
    current = storage.read_with_generation("digits/models.config")
    assert current is not None
    storage.replace("digits/models.config", stale[0], current[1])
    _live(bucket, versions[1])
    assert _served(bucket)[2] == [versions[1]]


def test_live_set_older_weights_is_refused(bucket: str, versions: list[int]) -> None:
    _live(bucket, versions[1])
    for reason in (None, " "):
        with pytest.raises(OlderThanLive, match=f"{versions[0]} was trained before .* {versions[1]}"):
            _live(bucket, versions[0], allow_older=reason)
    assert _live(bucket).version == versions[1]


def test_live_set_older_weights_with_a_reason_keeps_the_reason(bucket: str, versions: list[int]) -> None:
    _live(bucket, versions[1])
    pointer = _live(bucket, versions[0], allow_older="newer ones are biased", reason="complaint", by="ada")
    assert (pointer.version, pointer.previous) == (versions[0], versions[1])
    change = pointer.history[-1]
    assert (change.allow_older, change.reason, change.by) == ("newer ones are biased", "complaint", "ada")


def test_live_previous_goes_back_and_deletes_nothing(bucket: str, versions: list[int]) -> None:
    _live(bucket, versions[0])
    _live(bucket, versions[2])
    before = {item.name for item in open_storage(bucket).list()}
    pointer = _live(bucket, previous=True)
    assert (pointer.version, pointer.previous) == (versions[0], versions[2])
    assert [change.kind for change in pointer.history] == ["live", "live", "rollback"]
    assert "@" in pointer.history[-1].by
    after = {item.name for item in open_storage(bucket).list()}
    assert after - before == {"digits/live/00000003.json"}
    assert before <= after
    assert _served(bucket)[2] == [versions[0]]


def test_live_previous_before_any_says_so(bucket: str, versions: list[int]) -> None:
    _live(bucket, versions[0])
    with pytest.raises(VersionNotFound, match="no other version was live before"):
        _live(bucket, previous=True)


def test_live_previous_that_lost_an_object_is_refused(
    gcs_server: str, bucket: str, versions: list[int]
) -> None:
    _live(bucket, versions[0])
    _live(bucket, versions[1])
    _bucket_request(gcs_server, bucket, f"digits/{versions[0]}/saved_model.pb", "-X", "DELETE")
    with pytest.raises(ObjectConflict, match=r"saved_model\.pb: expected the 11 objects .* found 10"):
        _live(bucket, previous=True)
    assert _live(bucket).version == versions[1]


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Has somebody do something between the next command's check of a version and its change."""

    def interrupt(act: Callable[[], object]) -> None:
        check = set_live.demand_verified

        def check_then_act(*arguments: Any, **named: Any) -> None:
            monkeypatch.setattr(set_live, "demand_verified", check)
            check(*arguments, **named)
            act()

        monkeypatch.setattr(set_live, "demand_verified", check_then_act)

    return interrupt


def test_live_set_version_that_loses_an_object_after_it_was_checked_moves_nothing(
    bucket: str, versions: list[int], meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    storage = open_storage(bucket)
    (graph,) = (item for item in storage.list() if item.name == f"digits/{versions[1]}/saved_model.pb")
    meanwhile(lambda: storage.delete(graph.name, graph.generation))
    with pytest.raises(ObjectConflict, match=r"saved_model\.pb: expected the 11 objects"):
        _live(bucket, versions[1])
    assert _live(bucket).version is None


def test_live_previous_while_another_goes_back_as_well_goes_back_once(
    bucket: str, versions: list[int], meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    _live(bucket, versions[0])
    _live(bucket, versions[1])
    meanwhile(lambda: _live(bucket, previous=True))
    pointer = _live(bucket, previous=True)
    assert (pointer.version, pointer.previous, pointer.number) == (versions[0], versions[1], 3)


def test_live_previous_while_another_moves_on_is_refused(
    bucket: str, versions: list[int], meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    _live(bucket, versions[0])
    _live(bucket, versions[1])
    meanwhile(lambda: _live(bucket, versions[2]))
    with pytest.raises(ObjectConflict, match="the live version was changed in the meantime"):
        _live(bucket, previous=True)
    assert _live(bucket).version == versions[2]


def test_live_of_a_version_that_does_not_load_moves_nothing(
    bucket: str, versions: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    _live(bucket, versions[0])
    monkeypatch.undo()  # the real loader is asked again
    with pytest.raises(NotLoadable, match=f"{versions[1]}: TensorFlow's C\\+\\+ loader cannot"):
        _live(bucket, versions[1])
    assert _live(bucket).version == versions[0]


def test_live_label_canary_is_loaded_beside_the_live_version(bucket: str, versions: list[int]) -> None:
    _live(bucket, versions[0])
    pointer = _live(bucket, versions[2], label="canary")
    assert (pointer.version, pointer.previous) == (versions[0], None)
    assert pointer.labels == {"stable": versions[0], "canary": versions[2]}
    config = _config(bucket)
    assert dict(config.version_labels) == {"stable": versions[0], "canary": versions[2]}
    assert list(config.model_version_policy.specific.versions) == [versions[0], versions[2]]

    pointer = _live(bucket, label="canary", remove_label=True)
    assert pointer.labels == {"stable": versions[0]}
    assert dict(_config(bucket).version_labels) == {"stable": versions[0]}
    assert [(change.kind, change.label) for change in pointer.history[1:]] == [
        ("label", "canary"),
        ("unlabel", "canary"),
    ]
    assert _live(bucket, label="canary", remove_label=True) == pointer


def test_live_label_canary_with_nothing_live_is_refused(bucket: str, versions: list[int]) -> None:
    with pytest.raises(VersionNotFound, match="the label canary needs a live version"):
        _live(bucket, versions[0], label="canary")


def test_live_set_version_written_again_is_refused_until_it_is_pushed(
    gcs_server: str, bucket: str, make_export: Any
) -> None:
    export = make_export()
    version = push_model(export.request(bucket)).version
    name = f"digits/{version}/variables/variables.index"
    _bucket_request(gcs_server, bucket, name, "-X", "DELETE")
    open_storage(bucket).create(name, b"index")
    with pytest.raises(ObjectConflict, match=r"variables\.index: expected generation \d+, as published"):
        _live(bucket, version)
    push_model(export.request(bucket))
    assert _live(bucket, version).version == version


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"set": 1, "previous": True}, "at most one of set, previous and remove_label, got 2"),
        ({"label": "canary"}, "expected a label together with set or remove_label"),
        ({"remove_label": True}, "expected a label together with set or remove_label"),
        ({"label": "stable", "remove_label": True}, "expected canary, got stable"),
        ({"set": 1, "label": "gold"}, "key 'label': expected one of stable, canary, got 'gold'"),
    ],
)
def test_live_request_that_contradicts_itself_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        LiveRequest.from_json({"model": "digits", "bucket": "gs://models", **fields})


def test_live_set_earlier_revision_of_the_same_weights_is_allowed(bucket: str, make_export: Any) -> None:
    exports = [make_export(graph=graph) for graph in (b"one", b"two")]
    first, second = (push_model(export.request(bucket, make_live=True)).version for export in exports)
    assert _live(bucket).version == second
    assert _live(bucket, first).version == first


def test_live_set_unknown_version_lists_the_known(bucket: str, versions: list[int]) -> None:
    with pytest.raises(VersionNotFound, match=f"newest are {versions[2]}, {versions[1]}, {versions[0]}"):
        _live(bucket, 1999010100000000)
    assert _live(bucket).version is None


def _bucket_request(server: str, bucket: str, name: str, *curl: str) -> None:
    quoted = name.replace("/", "%2F")
    url = f"{server}/storage/v1/b/{bucket.removeprefix('gs://')}/o/{quoted}"
    subprocess.run(["curl", "--silent", "--fail", *curl, url], check=True, capture_output=True)


def test_live_set_version_with_a_missing_object_is_refused(
    gcs_server: str, bucket: str, versions: list[int]
) -> None:
    name = f"digits/{versions[2]}/variables/variables.index"
    _bucket_request(gcs_server, bucket, name, "-X", "DELETE")
    with pytest.raises(ObjectConflict, match=r"variables\.index: expected the 11 objects .* found 10"):
        _live(bucket, versions[2])
    assert _live(bucket).version is None


def test_live_set_version_with_a_foreign_object_is_refused(bucket: str, versions: list[int]) -> None:
    open_storage(bucket).create(f"digits/{versions[2]}/foreign", b"x")
    with pytest.raises(ObjectConflict, match="foreign: expected only the 11 objects"):
        _live(bucket, versions[2])


def test_live_set_version_that_was_only_claimed_is_not_found(bucket: str, versions: list[int]) -> None:
    storage = open_storage(bucket)
    claim = storage.read(f"digits/releases/{versions[2]}.claim.json")
    assert claim is not None
    other = versions[2] + 1
    own = json.dumps({**json.loads(claim), "version": other}).encode()
    storage.create(f"digits/releases/{other}.claim.json", own)
    with pytest.raises(VersionNotFound):
        _live(bucket, other)
    listed = list_releases(ReleasesRequest(model="digits", bucket=bucket))
    assert [release.version for release in listed.releases] == versions[::-1]


def test_live_damaged_pointer_names_the_object(bucket: str, versions: list[int]) -> None:
    open_storage(bucket).create("digits/live.json", b"{}")
    with pytest.raises(InvalidRecord, match=f"{bucket}/digits/live.json"):
        _live(bucket, versions[0])


@pytest.mark.parametrize("kind", ["json", "claim.json"])
@pytest.mark.parametrize("damaged", ["live", "another"])
def test_live_set_next_to_a_damaged_record_of_another_version_moves(
    bucket: str, versions: list[int], kind: str, damaged: str
) -> None:
    _live(bucket, versions[0])
    storage = open_storage(bucket)
    name = f"digits/releases/{versions[0 if damaged == 'live' else 1]}.{kind}"
    found = storage.stat(name)
    assert found is not None
    storage.replace(name, b'{"record": "damaged"', found.generation)
    assert _live(bucket, versions[2]).version == versions[2]
    if damaged == "another":
        assert _live(bucket, previous=True).version == versions[0]
        with pytest.raises(InvalidRecord, match=str(versions[1])):
            _live(bucket, versions[1])
    assert _served(bucket)[2] == [versions[2 if damaged == "live" else 0]]


def test_live_set_by_many_at_once_ends_with_the_newest(bucket: str, versions: list[int]) -> None:
    def move(version: int) -> bool:
        try:
            _live(bucket, version)
        except OlderThanLive:
            return False
        return True

    wanted = [*versions, *versions, *versions]
    with ThreadPoolExecutor(len(wanted)) as pool:
        moved = list(pool.map(move, wanted))
    pointer = _live(bucket)
    assert pointer.version == versions[2]
    history = [change.version for change in pointer.history]
    assert history == sorted(set(history))
    assert all(done for done, version in zip(moved, wanted, strict=True) if version == versions[2])
    assert _served(bucket)[2] == [versions[2]]


def test_live_command_prints_the_pointer(bucket: str, versions: list[int]) -> None:
    command = [sys.executable, "-m", "redraw", "live", "--model", "digits", "--bucket", bucket]
    pointer = _live(bucket, versions[0])
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert LivePointer.from_text(done.stdout, "live") == pointer
    refused = subprocess.run([*command, "--set", str(versions[1])], capture_output=True, timeout=60)
    assert refused.returncode == 1
    assert b"error [NotLoadable]" in refused.stderr


def test_live_set_after_pointer_and_configuration_were_lost_writes_both_anew(
    bucket: str, versions: list[int]
) -> None:
    _live(bucket, versions[2])
    served, storage = _served(bucket), open_storage(bucket)
    for name in ("digits/live.json", "digits/models.config"):
        found = storage.stat(name)
        assert found is not None
        storage.delete(name, found.generation)

    pointer = _live(bucket, versions[2])

    assert (pointer.version, pointer.previous) == (versions[2], None)
    assert _served(bucket) == served
