from __future__ import annotations

import gzip
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import google_crc32c
import pytest

from redraw.errors import (
    BucketNotFound,
    DiskFull,
    InvalidName,
    InvalidRecord,
    ObjectConflict,
    StorageUnavailable,
)
from redraw.storage.files import scan_file, scan_tree
from redraw.storage.gcs import GcsStorage
from redraw.storage.opening import (
    Absent,
    AlreadyThere,
    Changed,
    FileAltered,
    Storage,
    StoredObject,
    download_tree,
    in_parallel,
    map_ahead,
    open_storage,
    read_uri,
    upload_tree,
    write_uri,
)
from redraw_airflow.standalone.settings import Settings
from tests.embedded import reach_storage
from tests.publishing.faults import Fault, Wait
from tests.publishing.proxy import run_proxy


@pytest.fixture(params=["local", "bucket", "prefix", "embedded"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    if request.param == "local":
        return open_storage(str(tmp_path / "objects"))
    if request.param == "embedded":
        settings: Settings = request.getfixturevalue("own_storage")
        reach_storage(monkeypatch, settings)
        return open_storage(f"{settings.model_bucket}/{tmp_path.name}")
    uri = request.getfixturevalue("bucket")
    return open_storage(uri if request.param == "bucket" else f"{uri}/some/prefix")


def test_create_absent_object_is_read_back(storage: Storage, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"from a file")
    stored = storage.create("a/b.txt", b"content")
    filed = storage.create("a/c.txt", source)
    assert (stored.name, stored.size, stored.crc32c) == ("a/b.txt", 7, google_crc32c.value(b"content"))
    assert storage.stat("a/b.txt") == stored
    assert storage.stat("a/c.txt") == filed
    assert storage.read("a/b.txt") == b"content"
    assert storage.read("a/c.txt") == b"from a file"


def test_create_larger_than_a_block_arrives_whole(storage: Storage, tmp_path: Path) -> None:
    content = os.urandom((9 << 20) + 17)
    source, copy = tmp_path / "source", tmp_path / "deep" / "copy"
    source.write_bytes(content)
    stored = storage.create("large", source)
    assert stored.crc32c == google_crc32c.value(content)
    storage.download("large", copy)
    assert copy.read_bytes() == content
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]


def test_create_existing_object_leaves_it_alone(storage: Storage, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(12 << 20))
    first = storage.create("a", b"first")
    with pytest.raises(AlreadyThere):
        storage.create("a", b"second")
    with pytest.raises(AlreadyThere):
        storage.create("a", large)
    assert storage.stat("a") == first


def test_create_by_many_threads_has_one_winner(storage: Storage) -> None:
    def create(number: int) -> bool:
        try:
            storage.create("contested", str(number).encode())
        except AlreadyThere:
            return False
        return storage.read("contested") == str(number).encode()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(16))) == 1


def test_read_range_gives_that_part_of_that_generation(storage: Storage) -> None:
    stored = storage.create("a", b"0123456789")
    assert storage.read_range("a", 2, 3) == b"234"
    assert storage.read_range("a", 8, 5, stored.generation) == b"89"
    assert storage.read_range("a", 10, 5) == b""
    assert storage.read_range("a", 3, 0) == b""
    storage.replace("a", b"abc", stored.generation)
    assert storage.read_range("a", 0, 3) == b"abc"
    with pytest.raises(Changed):
        storage.read_range("a", 0, 3, stored.generation)
    with pytest.raises(Absent):
        storage.read_range("b", 0, 3)


def test_copy_from_another_bucket_has_the_same_bytes(bucket: str, new_bucket: Callable[[], str]) -> None:
    source, target = open_storage(f"{bucket}/some"), open_storage(f"{new_bucket()}/other")
    stored = source.create("a b/ü", b"content")
    copied = target.copy_from(source, stored, "c/d")
    assert (copied.name, copied.size, copied.crc32c) == ("c/d", 7, stored.crc32c)
    assert target.stat("c/d") == copied
    assert target.read("c/d") == b"content"
    assert source.stat("a b/ü") == stored


def test_copy_from_of_another_generation_copies_nothing(bucket: str) -> None:
    storage = open_storage(bucket)
    stored = storage.create("a", b"content")
    storage.replace("a", b"CONTENT", stored.generation)
    with pytest.raises(Changed, match=f"{bucket}/a"):
        storage.copy_from(storage, stored, "b")
    with pytest.raises(Changed, match=f"{bucket}/gone"):
        storage.copy_from(storage, replace(stored, name="gone"), "b")
    assert storage.stat("b") is None


def test_copy_from_is_not_offered_by_a_folder(bucket: str, tmp_path: Path) -> None:
    local, remote = open_storage(str(tmp_path)), open_storage(bucket)
    stored = local.create("a", b"content")
    for target, source in ((local, local), (local, remote), (remote, local)):
        with pytest.raises(NotImplementedError):
            target.copy_from(source, stored, "b")


def test_download_of_encoded_bytes_takes_them_as_they_are_stored(bucket: str, tmp_path: Path) -> None:
    """The generation says which bytes are stored: anyone who reads others knows nothing of them."""
    compressed = gzip.compress(b"content")
    storage = open_storage(bucket)
    assert isinstance(storage, GcsStorage)
    blob = storage._bucket.blob("a")
    blob.content_encoding = "gzip"
    blob.upload_from_string(compressed)
    storage.download("a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == compressed


def test_download_of_an_object_that_is_replaced_meanwhile_takes_neither(
    gcs_server: str, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = open_storage(bucket)
    stored = undisturbed.create("a", b"first")
    with run_proxy(gcs_server) as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        intrude = Wait(function=lambda: undisturbed.replace("a", b"other", stored.generation))
        proxy.faults = [Fault(action=intrude, operation="read")]
        with pytest.raises(StorageUnavailable, match=f"{bucket}/a: the object was replaced or removed"):
            open_storage(bucket).download("a", tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_delete_takes_the_very_object_and_may_be_repeated(storage: Storage) -> None:
    stored = storage.create("a/b", b"content")
    storage.delete("a/b", stored.generation)
    assert storage.stat("a/b") is None
    assert storage.list() == []
    storage.delete("a/b", stored.generation)
    storage.create("a/b", b"again")
    assert storage.read("a/b") == b"again"


def test_delete_of_another_generation_leaves_the_file(tmp_path: Path) -> None:
    """Only of a folder: the server that stands in for the bucket ignores the precondition."""
    storage = open_storage(str(tmp_path))
    stored = storage.create("a", b"content")
    current = storage.replace("a", b"other", stored.generation)
    with pytest.raises(Changed):
        storage.delete("a", stored.generation)
    assert storage.stat("a") == current


@pytest.mark.parametrize("size", [10, (3 << 20) + 5])
def test_create_of_a_file_that_is_not_its_digest_makes_no_object(
    storage: Storage, tmp_path: Path, size: int
) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(size))
    scanned = scan_file(source, "source")
    source.write_bytes(bytes(size - 1) + b"x")
    altered = google_crc32c.value(source.read_bytes())
    with pytest.raises(FileAltered):
        storage.create("a", source, altered, scanned.sha256)
    assert storage.stat("a") is None
    source.write_bytes(bytes(size))
    assert storage.create("a", source, scanned.crc32c, scanned.sha256).size == size


def test_list_says_when_objects_were_written(storage: Storage) -> None:
    before = time.time()
    storage.create("a", b"content")
    (found,) = storage.list()
    assert before - 2 <= found.written_at <= time.time() + 2


def test_read_absent_object_returns_none(storage: Storage, tmp_path: Path) -> None:
    assert storage.read("absent") is None
    assert storage.stat("absent") is None
    assert storage.read_with_generation("absent") is None
    assert storage.list() == []
    with pytest.raises(Absent):
        storage.download("absent", tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


def test_replace_same_generation_writes_and_grows(storage: Storage) -> None:
    first = storage.create("pointer", b"1")
    second = storage.replace("pointer", b"2", first.generation)
    assert second.generation > first.generation
    assert storage.read_with_generation("pointer") == (b"2", second.generation)


def test_replace_other_generation_is_refused(storage: Storage) -> None:
    first = storage.create("pointer", b"1")
    storage.replace("pointer", b"2", first.generation)
    with pytest.raises(Changed):
        storage.replace("pointer", b"3", first.generation)
    with pytest.raises(Changed):
        storage.replace("never-there", b"3", first.generation)
    assert storage.read("pointer") == b"2"
    assert storage.stat("never-there") is None


def test_replace_by_many_threads_loses_no_change(storage: Storage) -> None:
    storage.create("counter", b"0")

    def add(_: int) -> None:
        while True:
            content, generation = storage.read_with_generation("counter") or pytest.fail("gone")
            try:
                storage.replace("counter", str(int(content) + 1).encode(), generation)
            except Changed:
                continue
            return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(12)))
    assert storage.read("counter") == b"12"


def test_list_prefix_names_what_starts_with_it(storage: Storage) -> None:
    for name in ("m/2/b", "m/2/a", "m/20/a", "m/x", "n/2/a"):
        storage.create(name, b"")
    assert [item.name for item in storage.list("m/2/")] == ["m/2/a", "m/2/b"]
    assert [item.name for item in storage.list("m/2")] == ["m/2/a", "m/2/b", "m/20/a"]
    assert len(storage.list()) == 5


def test_walk_goes_in_the_order_of_names_and_stays_above_when_told(storage: Storage) -> None:
    names = ["m/a!", "m/a-1/x", "m/a.b", "m/a/x", "m/a/y/z", "m/ab", "m/b/a", "n/a"]
    for name in reversed(names):
        storage.create(name, b"")
    assert [item.name for item in storage.walk()] == sorted(names)
    assert [item.name for item in storage.walk("m/a")] == sorted(name for name in names if name < "m/b")
    assert [item.name for item in storage.walk("m/", deep=False)] == ["m/a!", "m/a.b", "m/ab"]
    assert [item.name for item in storage.walk("absent/")] == []
    storage.create("alone", b"")
    assert storage.folders() == ("m", "n")


def test_walk_tells_no_temporary_file_and_follows_no_link(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path))
    storage.create("a/b", b"")
    (tmp_path / "a" / "round").symlink_to(tmp_path)
    (tmp_path / "a" / "nowhere").symlink_to(tmp_path / "absent")
    (tmp_path / "a" / ".b.0.partial").touch()
    assert [item.name for item in storage.walk()] == ["a/b"]


def test_walk_beyond_a_page_takes_every_object_once(
    bucket: str, gcs_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redraw.storage.gcs._PAGE_SIZE", 10)
    names = [f"o/{number:02d}" for number in range(25)]
    with run_proxy(gcs_server) as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        storage = open_storage(bucket)
        in_parallel(lambda name: storage.create(name, b""), names)
        assert [item.name for item in storage.walk("o/")] == names
    assert [request.operation for request in proxy.requests].count("list") == 3


def test_map_ahead_takes_few_items_before_they_are_asked_for() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = map_ahead(lambda number: number * 2, items(), streams=4)
    assert next(results) == 0
    assert len(taken) == 5
    assert list(results) == [number * 2 for number in range(1, 100)]


def test_map_ahead_raises_the_first_error() -> None:
    with pytest.raises(ZeroDivisionError):
        list(map_ahead(lambda number: 1 // number, [2, 1, 0, 1]))


def test_create_name_that_leads_elsewhere_is_refused(storage: Storage) -> None:
    for name in ("../outside", "a/../../outside", "/etc/outside", "a//b", ""):
        with pytest.raises(InvalidName, match="expected a relative path"):
            storage.create(name, b"x")


def test_download_tree_after_upload_tree_is_the_same(storage: Storage, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name, content in {"a": b"1", "deep/er/b": b"22", "empty": b""}.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
    scan = scan_tree(source)
    first = upload_tree(storage, "m/1", scan.files)
    assert upload_tree(storage, "m/1", scan.files) == first
    fetched = download_tree(storage, "m/1", tmp_path / "copy")
    assert [item.name for item in fetched] == ["m/1/a", "m/1/deep/er/b", "m/1/empty"]
    assert scan_tree(tmp_path / "copy").digest == scan.digest
    assert download_tree(storage, "m/2", tmp_path / "nothing") == []


def test_upload_tree_other_content_in_the_way_is_named(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a").write_bytes(b"mine")
    storage.create("m/a", b"mini")
    with pytest.raises(ObjectConflict, match=r"/m/a: expected 4 bytes with crc32c .* got 4 bytes"):
        upload_tree(storage, "m", scan_tree(tmp_path / "source").files)
    assert storage.read("m/a") == b"mini"


def test_read_uri_local_and_bucket_find_the_file(bucket: str, tmp_path: Path) -> None:
    open_storage(f"{bucket}/a").create("b.json", b"remote")
    (tmp_path / "b.json").write_bytes(b"local")
    assert read_uri(f"{bucket}/a/b.json") == b"remote"
    assert read_uri(f"{bucket}/a/c.json") is None
    assert read_uri(str(tmp_path / "b.json")) == b"local"
    assert read_uri(str(tmp_path / "c.json")) is None


def test_open_missing_bucket_every_call_says_so(bucket: str, tmp_path: Path) -> None:
    storage, there = open_storage("gs://no-such-bucket/models"), open_storage(bucket)
    stored = there.create("a", b"x")
    calls = (
        lambda: storage.list(),
        lambda: storage.stat("a"),
        lambda: storage.read("a"),
        lambda: storage.read_with_generation("a"),
        lambda: storage.download("a", tmp_path / "a"),
        lambda: storage.create("a", b"x"),
        lambda: storage.copy_from(there, stored, "a"),
    )
    for call in calls:
        with pytest.raises(BucketNotFound, match=r"gs://no-such-bucket/models.*create the bucket"):
            call()
    with pytest.raises(BucketNotFound, match=r"gs://no-such-bucket/models.*create the bucket"):
        there.copy_from(storage, stored, "b")


@pytest.mark.parametrize("uri", ["s3://bucket", "gs://UPPER", "gs://a b/c", "gs://bucket/../other", "gs://"])
def test_open_uri_of_no_known_form_is_refused(uri: str) -> None:
    with pytest.raises(InvalidName):
        open_storage(uri)


def test_write_full_disk_leaves_no_file(bucket: str, tmp_path: Path, tiny_disk: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(2 << 20))
    remote, local = open_storage(bucket), open_storage(str(tiny_disk / "objects"))
    remote.create("large", source)
    with pytest.raises(DiskFull, match=r"objects/large: .*Free some space"):
        local.create("large", source)
    with pytest.raises(DiskFull, match="copy: "):
        remote.download("large", tiny_disk / "copy")
    assert local.list() == []
    assert [path for path in tiny_disk.rglob("*") if path.is_file()] == []


def test_import_storage_leaves_the_client_library_out() -> None:
    script = (
        "import sys, redraw.storage.opening; redraw.storage.opening.open_storage('/tmp/x');"
        " print([m for m in ('google.cloud.storage', 'google.auth', 'tensorflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_write_uri_written_by_others_each_time_gives_up(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process writes the object between each look at it and the write."""
    other, stat = open_storage(bucket), GcsStorage.stat
    other.create("report.json", b"theirs")

    def overtaken(self: GcsStorage, name: str) -> StoredObject | None:
        known = stat(self, name)
        if self is not other:
            other.replace(name, b"theirs", known.generation) if known else other.create(name, b"theirs")
        return known

    monkeypatch.setattr(GcsStorage, "stat", overtaken)
    monkeypatch.setattr("redraw.storage.pause._LONGEST_SECONDS", 0.001)
    with pytest.raises(StorageUnavailable, match="report.json: could not write the object"):
        write_uri(f"{bucket}/report.json", b"ours")
    assert open_storage(bucket).read("report.json") == b"theirs"


def test_delete_many_removes_what_was_listed_and_leaves_what_was_written_again(storage: Storage) -> None:
    listed = [storage.create(f"m/{number} &#", b"x") for number in range(150)]
    if storage.uri.startswith("gs://redraw-test"):  # fake-gcs-server holds no deletion to a precondition
        again = storage.create("m/again", b"y")
    else:
        again = storage.replace("m/7 &#", b"y", listed[7].generation)
    gone = listed[0]
    storage.delete(gone.name, gone.generation)
    storage.delete_many(listed)
    assert [item.name for item in storage.list()] == [again.name]
    assert storage.read(again.name) == b"y"
    assert list(storage.kept_when_deleted("m/")) == []


def test_read_object_that_is_larger_than_allowed_is_refused(storage: Storage) -> None:
    storage.create("m/record.json", b"x" * (3 << 20))
    for read in (storage.read, storage.read_with_generation):
        with pytest.raises(InvalidRecord, match="expected at most 2097152 bytes"):
            read("m/record.json")
    assert storage.read("m/record.json", 3 << 20) == b"x" * (3 << 20)
