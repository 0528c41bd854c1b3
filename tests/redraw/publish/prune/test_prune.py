from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import redraw.publish.bucket.emptying
import redraw.publish.prune.prune
import redraw.publish.push.objects
import redraw.publish.push.push
from redraw.errors import InvalidRecord, InvalidRequest, ObjectConflict, VersionNotFound
from redraw.publish.bucket.layout import read_release, release_name
from redraw.publish.live.pin import pin_version
from redraw.publish.live.serving_config import encode_serving_config
from redraw.publish.live.set_live import change_live
from redraw.publish.prune.prune import prune_versions
from redraw.publish.prune.removal import Removal
from redraw.publish.push.push import push_model
from redraw.publish.releases import list_releases
from redraw.publish.verify import verify_version
from redraw.records.results import PruneReport
from redraw.requests import LiveRequest, PinRequest, PruneRequest, ReleasesRequest
from redraw.storage.opening import Storage, open_storage
from tests.fake_gcs import Kept

pytestmark = pytest.mark.usefixtures("gcs_server", "loadable")


def _prune(bucket: str, **fields: Any) -> PruneReport:
    return prune_versions(PruneRequest(model="digits", bucket=bucket, **fields))


def _live(bucket: str, version: int | None = None, **fields: Any) -> Any:
    return change_live(LiveRequest(model="digits", bucket=bucket, set=version, **fields))


def _pin(bucket: str, version: int, **fields: Any) -> Any:
    return pin_version(PinRequest(model="digits", bucket=bucket, version=version, **fields))


def _loadable(bucket: str) -> set[int]:
    names = [item.name for item in open_storage(bucket).list("digits/")]
    return {int(name.split("/")[1]) for name in names if name.endswith("/saved_model.pb")}


def _objects(bucket: str, version: int) -> list[str]:
    return [item.name for item in open_storage(bucket).list(f"digits/{version}/")]


def _with_attachments(bucket: str) -> set[int]:
    return {int(item.name.split("/")[2]) for item in open_storage(bucket).list("digits/reports/")}


def _generation(storage: Storage, name: str) -> int:
    found = storage.stat(name)
    assert found is not None
    return found.generation


@pytest.fixture
def versions(bucket: str, make_export: Any) -> list[int]:
    """Seven published versions, the oldest weights first; none is live."""
    times = (f"2024-0{month}-01T00:00:00Z" for month in range(1, 8))
    return [push_model(make_export(trained_at=time).request(bucket)).version for time in times]


def test_prune_by_default_shows_what_would_go(bucket: str, versions: list[int]) -> None:
    before = open_storage(bucket).list()
    report = _prune(bucket, keep=2)
    assert open_storage(bucket).list() == before
    assert report.applied is False
    assert [gone.version for gone in report.removed] == versions[4::-1]
    assert report.bytes == sum(gone.size_bytes for gone in report.removed) > 0
    assert set(report.kept) == {str(version) for version in versions[5:]}
    assert {gone.reason for gone in report.removed} == {"not one of the 2 newest"}


def test_prune_applied_spares_what_is_in_use(bucket: str, versions: list[int]) -> None:
    _live(bucket, versions[0])
    _live(bucket, versions[2])
    _live(bucket, versions[3], label="canary")
    _pin(bucket, versions[4], reason="audit", by="ada")

    report = _prune(bucket, keep=1, apply=True, by="grace")

    assert [gone.version for gone in report.removed] == [versions[5], versions[1]]
    assert report.kept == {
        str(versions[0]): "live before",
        str(versions[2]): "live; labelled stable",
        str(versions[3]): "labelled canary",
        str(versions[4]): "pinned: audit",
        str(
            versions[6]
        ): "the newest, which servers that follow the highest number load; one of the 1 newest",
    }
    assert _loadable(bucket) == {int(version) for version in report.kept}
    assert _objects(bucket, versions[1]) == _objects(bucket, versions[5]) == []
    assert _with_attachments(bucket) == {int(version) for version in report.kept}
    assert _live(bucket).pruning == ()
    listed = list_releases(ReleasesRequest(model="digits", bucket=bucket)).releases
    pruned = {release.version: release.pruned for release in listed if release.pruned}
    assert set(pruned) == {versions[1], versions[5]}
    assert {gone.by for gone in pruned.values()} == {"grace"}
    assert _prune(bucket, keep=1, apply=True).removed == ()


@pytest.mark.parametrize("reason", [None, "", " \n"])
def test_pin_without_a_reason_is_refused(bucket: str, reason: str | None) -> None:
    with pytest.raises(InvalidRequest, match="reason: expected the reason for the pin, got none"):
        _pin(bucket, 2026010100000000, reason=reason)


@pytest.mark.parametrize("apply", [False, True])
@pytest.mark.parametrize("lost", [("live.json",), ("live.json", "models.config")])
def test_prune_whose_live_pointer_is_lost_removes_nothing(
    bucket: str, versions: list[int], make_export: Any, lost: tuple[str, ...], apply: bool
) -> None:
    _live(bucket, versions[0])
    if "models.config" in lost:  # then only a release record knows that a version was live
        push_model(make_export(trained_at="2024-08-01T00:00:00Z").request(bucket))
    storage = open_storage(bucket)
    for item in storage.list("digits/live/"):
        storage.delete(item.name, item.generation)
    for name in lost:
        storage.delete(f"digits/{name}", _generation(storage, f"digits/{name}"))
    before = _loadable(bucket)

    with pytest.raises(
        ObjectConflict, match=f"live.json: the live pointer is missing.* version {versions[0]}"
    ):
        _prune(bucket, keep=1, apply=apply)

    assert _loadable(bucket) == before
    _live(bucket, versions[0])  # as the message says
    assert versions[0] not in {gone.version for gone in _prune(bucket, keep=1, apply=True).removed}
    assert versions[0] in _loadable(bucket)


def test_prune_spares_what_only_the_servers_configuration_names(bucket: str, versions: list[int]) -> None:
    storage = open_storage(bucket)
    for version in versions[:3]:
        _live(bucket, version)
    # As a stopped move leaves it: the pointer has moved on twice, the configuration has not.
    config = encode_serving_config(f"{bucket}/digits", "digits", {"stable": versions[0]})
    storage.replace("digits/models.config", config, _generation(storage, "digits/models.config"))

    report = _prune(bucket, keep=1, apply=True)

    assert report.kept[str(versions[0])] == "named by models.config, but not by live.json"
    assert versions[0] in _loadable(bucket)


def test_prune_with_a_damaged_serving_configuration_removes_nothing(bucket: str, versions: list[int]) -> None:
    _live(bucket, versions[6])
    storage = open_storage(bucket)
    storage.replace("digits/models.config", b"\xff", _generation(storage, "digits/models.config"))
    with pytest.raises(InvalidRecord, match="models.config: expected TensorFlow Serving's ModelServerConfig"):
        _prune(bucket, keep=1, apply=True)
    assert _loadable(bucket) == set(versions)


@pytest.mark.parametrize("clock", ["2001-01-01T00:00:00Z", "2099-01-01T00:00:00Z"])
def test_prune_by_days_goes_by_the_clock_of_the_storage(
    clock: str, bucket: str, make_export: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redraw.publish.push.release.now", lambda: clock)
    for month in (1, 2):
        push_model(make_export(trained_at=f"2024-0{month}-01T00:00:00Z").request(bucket))
    assert _prune(bucket, keep_days=1).removed == ()
    assert len(_prune(bucket, keep_days=0).removed) == 1


def test_prune_by_days_keeps_what_was_pushed_lately(bucket: str, versions: list[int]) -> None:
    assert _prune(bucket, keep=1, keep_days=1).removed == ()
    assert _prune(bucket, keep=1, keep_days=1e30).removed == ()
    removed = _prune(bucket, keep_days=0).removed
    assert [gone.reason for gone in removed] == ["not pushed in the last 0 days"] * (len(versions) - 1)


def test_prune_after_unpin_lets_it_go(bucket: str, versions: list[int]) -> None:
    _pin(bucket, versions[0], reason="audit")
    assert _pin(bucket, versions[0], unpin=True).pinned == {}
    assert versions[0] in [gone.version for gone in _prune(bucket, keep=1).removed]


def test_pruned_version_is_gone_for_live_pin_and_verify(bucket: str, versions: list[int]) -> None:
    _prune(bucket, keep=1, apply=True, by="grace")
    for ask in (
        lambda: _live(bucket, versions[0]),
        lambda: _pin(bucket, versions[0], reason="audit"),
        lambda: verify_version_of(bucket, versions[0]),
    ):
        with pytest.raises(VersionNotFound, match="but grace pruned this version at"):
            ask()


def verify_version_of(bucket: str, version: int) -> Any:
    from redraw.requests import VerifyRequest

    return verify_version(VerifyRequest(uri=f"{bucket}/digits/{version}"))


def test_push_of_a_pruned_export_gets_the_next_revision(bucket: str, make_export: Any) -> None:
    export = make_export()
    first = push_model(export.request(bucket)).version
    push_model(make_export(trained_at="2025-01-01T00:00:00Z").request(bucket))
    _prune(bucket, keep=1, apply=True)

    again = push_model(export.request(bucket))

    assert again.version == first + 1
    assert _objects(bucket, first) == []
    assert push_model(export.request(bucket)) == again


class _Stopped(BaseException):
    """The process ends here, whatever would have caught an error."""


class _StoppingStorage:
    """The real storage, until the write of a number: that one is made, and nothing after it."""

    def __init__(self, storage: Storage, writes: int) -> None:
        self._storage = storage
        self._left = writes

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._storage, name)
        if name == "delete_many":  # as one that ends after any of them
            return lambda objects: [self.delete(item.name, item.generation) for item in objects]
        if name not in {"create", "replace", "delete"}:
            return found

        def call(*arguments: Any) -> Any:
            if self._left <= 0:
                raise _Stopped
            self._left -= 1
            return found(*arguments)

        return call


def test_prune_stopped_after_any_write_carries_on(
    bucket: str, gcs_buckets: Path, make_export: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"{bucket}/place"
    exports = [make_export(trained_at=f"2024-0{month}-01T00:00:00Z") for month in (1, 2)]
    old, new = (push_model(export.request(place)).version for export in exports)
    kept = Kept.keep(gcs_buckets, place, tmp_path / "kept")
    writes, finished = 0, False
    while not finished:
        kept.restore()
        with monkeypatch.context() as patch:
            stopping = _StoppingStorage(open_storage(place), writes)
            patch.setattr(redraw.publish.prune.prune, "open_storage", lambda uri, stopping=stopping: stopping)
            try:
                _prune(place, keep=1, apply=True)
                finished = True
            except _Stopped:
                writes += 1
        assert old not in _loadable(place) or len(_objects(place, old)) == 11
        if not finished and writes > 1:
            with pytest.raises(VersionNotFound):
                _live(place, old)
        left = old in _live(place).pruning or _objects(place, old)
        events = _prune(place, keep=1, apply=True).events
        assert [event.version for event in events] == ([old] if left else [])
        assert (_objects(place, old), len(_objects(place, new))) == ([], 11)
        assert _live(place).pruning == ()
    assert writes > 12


def _lose(bucket: str, version: int, ends: tuple[str, ...]) -> None:
    storage = open_storage(bucket)
    for item in storage.list(f"digits/{version}/"):
        if item.name.endswith(ends):
            storage.delete(item.name, item.generation)


# Objects of every wave of a push are lost, so that a push of the same export has to put them back.
# A number is a wave before which the prune runs; the graph is the last one.
@pytest.mark.parametrize("step", [*range(6), "publish_objects", "write_release"])
def test_prune_in_the_middle_of_a_push_leaves_nothing_of_the_version(
    step: int | str, bucket: str, make_export: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = make_export(trained_at="2024-01-01T00:00:00Z")
    old = push_model(export.request(bucket)).version
    new = push_model(make_export(trained_at="2025-01-01T00:00:00Z").request(bucket)).version
    _lose(bucket, old, ("data-00000-of-00006", ".index", ".txt", "requests", "fingerprint.pb", ".pb"))
    module = redraw.publish.push.objects if isinstance(step, int) else redraw.publish.push.push
    name = "_publish_wave" if isinstance(step, int) else step
    calls, written = iter(range(9)), list[str]()
    wave = redraw.publish.push.objects._publish_wave

    def note_wave(storage: Storage, folder: str, source: Any, files: list[Any]) -> None:
        written.extend(file.name for file in files)
        wave(storage, folder, source, files)

    monkeypatch.setattr(redraw.publish.push.objects, "_publish_wave", note_wave)
    found = getattr(module, name)

    def prune_first(*arguments: Any) -> Any:
        if next(calls) == (step if isinstance(step, int) else 0):
            assert [gone.version for gone in _prune(bucket, keep=1, apply=True).removed] == [old]
        return found(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, prune_first)
        if step == "write_release":
            assert push_model(export.request(bucket)).pruned is not None
        else:
            with pytest.raises(ObjectConflict, match="pruned this version while it was being pushed"):
                push_model(export.request(bucket))

    assert _objects(bucket, old) == []
    assert _loadable(bucket) == {new}
    # No server has a moment to load a graph whose weights are gone, unless the prune came just then.
    assert ("saved_model.pb" in written) == (step in (5, "write_release"))
    with pytest.raises(VersionNotFound, match="pruned"):
        _live(bucket, old)
    again = push_model(export.request(bucket))
    assert (again.version, len(_objects(bucket, again.version))) == (old + 1, 11)


def test_prune_of_a_version_whose_record_changes_meanwhile_says_so_in_the_new_one(
    bucket: str, versions: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    remove, storage = Removal.remove, open_storage(bucket)
    name = release_name("digits", versions[0])

    def change_record_then_remove(*arguments: Any) -> None:
        content = storage.read(name)
        assert content is not None
        storage.replace(name, content, _generation(storage, name))
        remove(*arguments)

    monkeypatch.setattr(Removal, "remove", change_record_then_remove)
    _prune(bucket, keep=2, apply=True)
    release = read_release(storage, "digits", versions[0])
    assert release is not None
    assert release.pruned is not None


def test_live_during_a_prune_is_refused_or_spares_the_version(
    bucket: str, versions: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version is made live between the plan and the mark: the plan has to be made again."""
    planned = redraw.publish.prune.prune.plan_prune
    moves = iter([versions[0]])

    def plan_then_move(*arguments: Any) -> Any:
        plan = planned(*arguments)
        for version in moves:
            _live(bucket, version)
        return plan

    monkeypatch.setattr(redraw.publish.prune.prune, "plan_prune", plan_then_move)
    report = _prune(bucket, keep=1, apply=True)
    assert report.kept[str(versions[0])] == "live; labelled stable"
    assert len(_objects(bucket, versions[0])) == 11
    # The first plan would have removed it; no mark of that stays.
    assert _live(bucket).pruning == ()


def test_prune_of_a_folder_that_somebody_writes_to_says_so(
    bucket: str, versions: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted = redraw.publish.bucket.emptying._delete

    def delete_and_write(storage: Storage, objects: list[Any]) -> None:
        deleted(storage, objects)
        if objects:
            storage.create(f"digits/{versions[0]}/late-{len(storage.list())}", b"x")

    monkeypatch.setattr(redraw.publish.bucket.emptying, "_delete", delete_and_write)
    with pytest.raises(ObjectConflict, match="expected an empty folder"):
        _prune(bucket, keep=6, apply=True)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "expected keep, keep_days or both, got neither"),
        ({"keep": -1}, "keep: expected 0 or more, got -1"),
        ({"keep_days": -0.5}, "keep_days: expected 0 or more, got -0.5"),
    ],
)
def test_prune_request_without_a_rule_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        PruneRequest(model="digits", bucket="gs://models", **fields)


def test_prune_and_pin_commands_print_their_records(bucket: str, versions: list[int]) -> None:
    def run(*arguments: str) -> bytes:
        command = [sys.executable, "-m", "redraw", *arguments, "--model", "digits", "--bucket", bucket]
        done = subprocess.run(command, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("pin", "--version", str(versions[0]), "--reason", "audit")
    report = PruneReport.from_text(run("prune", "--keep", "1", "--keep-days", "0.0"), "prune")
    assert report.kept[str(versions[0])] == "pinned: audit"
