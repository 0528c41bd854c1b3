from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import google_crc32c
import pytest

from redraw.errors import DiskFull
from redraw.storage.files import Checksums, digest_tree, scan_tree, write_atomically, writing_to


def _tree(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_scan_tree_names_sizes_and_checksums_every_file(tmp_path: Path) -> None:
    large = bytes(range(256)) * 9000
    scan = scan_tree(_tree(tmp_path, {"b": b"22", "a/z": large, "a/empty": b""}))
    found = [(file.name, file.size, file.crc32c) for file in scan.files]
    assert found == [
        ("a/empty", 0, 0),
        ("a/z", len(large), google_crc32c.value(large)),
        ("b", 2, google_crc32c.value(b"22")),
    ]
    assert scan.size_bytes == len(large) + 2
    assert digest_tree(tmp_path) == (scan.digest, scan.size_bytes)


def test_digest_tree_same_files_elsewhere_is_the_same(tmp_path: Path) -> None:
    files = {"variables/data": b"1" * 5000, "saved_model.pb": b"graph"}
    first = _tree(tmp_path / "one", files)
    second = _tree(tmp_path / "two", dict(reversed(files.items())))
    (second / "assets").mkdir()  # empty, as TensorFlow leaves it; a bucket has no empty folders
    assert digest_tree(first) == digest_tree(second)


@pytest.mark.parametrize(
    "other",
    [
        {"a": b"12", "b": b"4"},
        {"a": b"1", "b": b"23"},
        {"a": b"12", "c": b"3"},
        {"a": b"12", "d/b": b"3"},
        {"a": b"12", "b": b"3", "empty": b""},
        {"a": b"12"},
    ],
)
def test_digest_tree_other_files_is_another(tmp_path: Path, other: dict[str, bytes]) -> None:
    first = _tree(tmp_path / "one", {"a": b"12", "b": b"3"})
    assert digest_tree(first)[0] != digest_tree(_tree(tmp_path / "two", other))[0]


def test_digest_tree_is_that_of_earlier_versions(tmp_path: Path) -> None:
    """Releases name their files by it: for the same files it may never be another one."""
    folder = _tree(
        tmp_path, {"saved_model.pb": b"the graph", "variables/variables.index": b"index", "a": b""}
    )
    assert digest_tree(folder) == ("f3a7804838fd6aa89f582033853c7f48ee8efaf2e8a40c4d227ec432feb3e61d", 14)


def test_scan_tree_with_checksums_known_reads_only_the_others(tmp_path: Path) -> None:
    folder = _tree(tmp_path, {"a": b"12", "b/c": b"3"})
    scan = scan_tree(folder)
    known = {folder / "b/c": Checksums(crc32c=scan.files[1].crc32c, sha256=scan.files[1].sha256)}
    (folder / "b/c").write_bytes(b"4")
    assert scan_tree(folder, known) == scan
    assert scan_tree(folder) != scan


def test_digest_tree_folder_behind_a_link_is_read(tmp_path: Path) -> None:
    plain = _tree(tmp_path / "plain", {"variables/data": b"1"})
    linked = _tree(tmp_path / "linked", {})
    linked.mkdir()
    (linked / "variables").symlink_to(plain / "variables")
    assert digest_tree(plain) == digest_tree(linked)


def test_digest_tree_absent_folder_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        digest_tree(tmp_path / "absent")


def test_write_atomically_full_disk_keeps_what_was_there(tiny_disk: Path) -> None:
    path = tiny_disk / "record.json"
    write_atomically(path, b"first")
    with pytest.raises(DiskFull, match=r"record\.json: .*Free some space"):
        write_atomically(path, bytes(2 << 20))
    assert path.read_bytes() == b"first"
    assert list(tiny_disk.iterdir()) == [path]


def _quota() -> None:
    raise OSError(errno.EDQUOT, "Disk quota exceeded")


def _tensorflow() -> None:
    # The shape of TensorFlow's own error, which this test has no need to import.
    error = type("ResourceExhaustedError", (Exception,), {"__module__": "tensorflow.python.framework"})
    raise error("/out/variables: No space left on device")


@pytest.mark.parametrize("fail", [_quota, _tensorflow])
def test_writing_to_full_disk_told_in_other_ways_is_translated(
    tmp_path: Path, fail: Callable[[], None]
) -> None:
    with pytest.raises(DiskFull), writing_to(tmp_path):
        fail()


def test_writing_to_other_error_is_left_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), writing_to(tmp_path):
        (tmp_path / "absent" / "file").write_bytes(b"")
