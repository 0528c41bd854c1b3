from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from redraw.ask.cache import cached_version
from redraw.errors import InvalidRequest, InvalidSetting, ObjectConflict
from redraw.publish.push.push import push_model
from redraw.records import Release
from redraw.requests import PushRequest
from redraw.settings import CACHE
from redraw.storage.opening import Storage, open_storage
from tests.publishing.exports import small_files, write_export

_SIZE = sum(map(len, small_files().values()))


def publish(bucket: str, folder: Path, graph: bytes, trained_at: str) -> Release:
    export = write_export(folder, small_files(graph), trained_at)
    report = f"{export.folder}.report.json"
    return push_model(
        PushRequest(model="digits", saved_model=str(export.folder), report=report, bucket=bucket)
    )


@pytest.fixture
def releases(bucket: str, tmp_path: Path) -> list[Release]:
    """Three versions of the same size."""
    graphs = (b"graph one", b"graph two", b"graph 333")
    return [
        publish(bucket, tmp_path / str(n), graph, f"2024-0{n}-01T00:00:00Z")
        for n, graph in enumerate(graphs, start=1)
    ]


@pytest.fixture
def storage(bucket: str) -> Storage:
    return open_storage(bucket)


def fetch(storage: Storage, release: Release, cache: Path, most_bytes: int = 10**9) -> bool:
    with cached_version(storage, release, cache, most_bytes) as version:
        assert (version.folder / "saved_model.pb").read_bytes().startswith(b"graph")
        return version.fetched


def folders(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir() if path.is_dir()}


def test_cache_beyond_its_bytes_lets_go_what_was_asked_longest_ago(
    storage: Storage, releases: list[Release], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    room = 2 * _SIZE + 100
    first, second, third = releases
    for age, release in ((200, first), (300, second)):
        fetch(storage, release, cache, room)
        then = cache.stat().st_mtime - age
        os.utime(cache / release.digest, (then, then))

    assert fetch(storage, third, cache, room)

    assert folders(cache) == {first.digest, third.digest}


def test_cache_with_altered_files_fetches_them_again(
    storage: Storage, releases: list[Release], tmp_path: Path
) -> None:
    fetch(storage, releases[0], tmp_path / "cache")
    (tmp_path / "cache" / releases[0].digest / "variables" / "variables.index").write_bytes(b"other")

    assert fetch(storage, releases[0], tmp_path / "cache")
    assert not fetch(storage, releases[0], tmp_path / "cache")


def test_cache_clears_away_what_a_killed_fetch_left(
    storage: Storage, releases: list[Release], tmp_path: Path
) -> None:
    left = tmp_path / "cache" / f".{releases[1].digest}.abc.partial"
    left.mkdir(parents=True)

    fetch(storage, releases[0], tmp_path / "cache")

    assert folders(tmp_path / "cache") == {releases[0].digest}


def test_cache_in_a_folder_with_other_things_touches_none_of_them(
    storage: Storage, releases: list[Release], tmp_path: Path
) -> None:
    for name in ("photos", "downloads.partial", "lock.d"):
        (tmp_path / "home" / name).mkdir(parents=True)
        (tmp_path / "home" / name / "large").write_bytes(b"x" * _SIZE)
    (tmp_path / "home" / "lock").write_text("mine")

    for release in releases:
        fetch(storage, release, tmp_path / "home", most_bytes=_SIZE + 1)

    assert folders(tmp_path / "home") == {"photos", "downloads.partial", "lock.d", releases[2].digest}
    assert (tmp_path / "home" / "lock").read_text() == "mine"


def test_cache_of_a_user_without_a_home_says_what_to_set(
    storage: Storage, releases: list[Release], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (CACHE.variable, "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)  # as a pod's user has no entry

    with (
        pytest.raises(InvalidSetting, match=f"{CACHE.variable}: .*no home folder"),
        cached_version(storage, releases[0]),
    ):
        pass


def test_cache_of_a_version_with_an_object_more_keeps_nothing(
    storage: Storage, releases: list[Release], tmp_path: Path
) -> None:
    storage.create(f"digits/{releases[0].version}/assets/more.txt", b"more")

    with pytest.raises(ObjectConflict, match=r"more\.txt: expected only"):
        fetch(storage, releases[0], tmp_path / "cache")

    assert folders(tmp_path / "cache") == set()


def test_cache_of_a_version_larger_than_it_is_refused(
    storage: Storage, releases: list[Release], tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequest, match="expected a version of at most 100 bytes"):
        fetch(storage, releases[0], tmp_path / "cache", most_bytes=100)


def test_cache_is_where_the_environment_says_and_its_owners_alone(
    storage: Storage, releases: list[Release], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE.variable, str(tmp_path / "named"))
    with cached_version(storage, releases[0]) as version:
        assert version.folder.parent == tmp_path / "named"
    assert (tmp_path / "named").stat().st_mode & 0o777 == 0o700

    monkeypatch.delenv(CACHE.variable)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    with cached_version(storage, releases[0]) as version:
        assert version.folder.parent == tmp_path / "own" / "redraw"
