"""Many processes at once, let go together: only generation preconditions decide between them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from redraw.publish.live.set_live import change_live
from redraw.publish.releases import list_releases
from redraw.records import LivePointer, Release
from redraw.requests import LiveRequest, ReleasesRequest
from redraw.storage.opening import open_storage
from tests.publishing.exports import Export, RemoteExport, small_files, write_export
from tests.publishing.faults import Fault, Wait
from tests.publishing.processes import Ended, Starter
from tests.publishing.proxy import FaultyProxy
from tests.publishing.served import demand_servable

_MANY = 16
_FIRST = 2024050607080900

RunAtOnce = Callable[..., list[Ended]]


@pytest.fixture
def run_at_once(proxy: FaultyProxy, starter: Starter) -> RunAtOnce:
    """Runs commands in processes that each have read how things stand before any of them writes.

    `run_at_once(commands, name)`: the objects that they write first have this in their names.
    """

    def run(commands: Sequence[list[str]], name: str) -> list[Ended]:
        gate = threading.Barrier(len(commands), timeout=60)
        waiting = Fault(action=Wait(function=gate.wait), operation="create", name=name, count=len(commands))
        proxy.faults = [waiting]
        running = [starter.start(command, {"STORAGE_EMULATOR_HOST": proxy.url}) for command in commands]
        return [command.wait() for command in running]

    return run


@pytest.fixture
def revisions(tmp_path: Path) -> list[Export]:
    """Exports of one checkpoint, each with another graph."""
    return [
        write_export(tmp_path / f"{number}", small_files(f"graph {number}".encode()))
        for number in range(_MANY)
    ]


@pytest.mark.parametrize("kind", ["export", "remote_export"])
def test_push_same_export_by_many_is_one_version(
    request: pytest.FixtureRequest, run_at_once: RunAtOnce, bucket: str, kind: str
) -> None:
    export = request.getfixturevalue(kind)
    ended = run_at_once([export.push_arguments(bucket)] * _MANY, "claim.json")
    assert {end.stderr for end in ended if end.status} == set()
    assert len({end.stdout for end in ended}) == 1
    _demand_one_version(bucket, export.digest)


def test_push_same_export_by_many_where_copies_take_the_place_of_others_is_one_version(
    starter: Starter, remote_export: RemoteExport, gcs_server: str, bucket: str
) -> None:
    """The server without the proxy: it holds no copy to its precondition."""
    command = remote_export.push_arguments(bucket)
    running = [starter.start(command, {"STORAGE_EMULATOR_HOST": gcs_server}) for _ in range(_MANY)]
    assert {end.stderr for end in (command.wait() for command in running) if end.status} == set()
    _demand_one_version(bucket, remote_export.digest)


def _demand_one_version(bucket: str, digest: str) -> None:
    """What is released is one version of that digest, with the generations that its objects have."""
    demand_servable(bucket)
    listed = list_releases(ReleasesRequest(model="digits", bucket=bucket))
    assert [(release.version, release.digest) for release in listed.releases] == [(_FIRST, digest)]
    claims = [item.name for item in open_storage(bucket).list() if item.name.endswith("claim.json")]
    assert claims == [f"digits/releases/{_FIRST}.claim.json"]


def test_push_other_revisions_by_many_are_as_many_versions(
    run_at_once: RunAtOnce, revisions: list[Export], bucket: str
) -> None:
    ended = run_at_once([export.push_arguments(bucket) for export in revisions], "claim.json")
    assert {end.stderr for end in ended if end.status} == set()
    demand_servable(bucket)
    storage = open_storage(bucket)
    taken = set()
    for export, end in zip(revisions, ended, strict=True):
        release = Release.from_text(end.stdout, "push")
        assert release.digest == export.digest
        graph = storage.read(f"digits/{release.version}/saved_model.pb")
        assert graph == (export.folder / "saved_model.pb").read_bytes()
        taken.add(release.version)
    assert taken == set(range(_FIRST, _FIRST + _MANY))


def test_live_set_by_many_keeps_every_move(
    run_at_once: RunAtOnce, revisions: list[Export], bucket: str
) -> None:
    pushed = run_at_once([export.push_arguments(bucket) for export in revisions], "claim.json")
    versions = [Release.from_text(end.stdout, "push").version for end in pushed]
    model = ["--model", "digits", "--bucket", bucket]
    ended = run_at_once([["live", *model, "--set", str(version)] for version in versions], "live.json")
    assert {end.stderr for end in ended if end.status} == set()
    pointer = change_live(LiveRequest(model="digits", bucket=bucket))
    history = [change.version for change in pointer.history]
    assert sorted(history) == sorted(versions)
    assert [pointer.previous, pointer.version] == history[-2:]
    printed = [LivePointer.from_text(end.stdout, "live") for end in ended]
    assert sorted(one.version or 0 for one in printed) == sorted(versions)
    assert _served(bucket) == pointer.version


def _served(bucket: str) -> int:
    """What `models.config` calls stable."""
    content = open_storage(bucket).read("digits/models.config")
    assert content is not None
    (config,) = text_format.Parse(content.decode(), ModelServerConfig()).model_config_list.config
    return int(config.version_labels["stable"])
