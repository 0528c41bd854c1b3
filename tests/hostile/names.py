"""Names of objects, models, versions and places that would lead elsewhere, in every call that takes one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from redraw.names import ModelName, check_attachment_name
from redraw.storage.opening import Storage, StoredObject, open_storage, read_uri
from redraw.storage.scratch import scratch_folder
from redraw.uri import BucketUri, Uri
from tests.hostile.case import FINE, Case

__all__ = ["CASES", "NAMES"]

NAMES = {
    "empty": "",
    "root": "/",
    "dot": ".",
    "dots": "..",
    "up": "../outside/secret",
    "up-within": "a/../../outside/secret",
    "up-at-the-end": "a/..",
    "absolute": "/etc/passwd",
    "two-slashes": "a//b",
    "slash-at-the-end": "a/",
    "dot-within": "a/./b",
    "null": "a\0b",
    "new-line": "a\nb",
    "escape": "a\x1b[2J",
    "c1-control": "a\x9bm",
    "backslash": "..\\outside\\secret",
    "part-of-300": "a/" + "n" * 300,
    "of-1100": "/".join(["n" * 99] * 11),
}


def _named(name: str) -> StoredObject:
    return StoredObject(name=name, size=1, crc32c=0, generation=1)


_CALLS: dict[str, Callable[[Storage, str, Path], object]] = {
    "stat": lambda storage, name, folder: storage.stat(name),
    "read": lambda storage, name, folder: storage.read(name),
    "read-with-generation": lambda storage, name, folder: storage.read_with_generation(name),
    "read-range": lambda storage, name, folder: storage.read_range(name, 0, 4),
    "download": lambda storage, name, folder: storage.download(name, folder / "copy" / name),
    "create": lambda storage, name, folder: storage.create(name, b"hostile"),
    "replace": lambda storage, name, folder: storage.replace(name, b"hostile", 1),
    "delete": lambda storage, name, folder: storage.delete(name, 1),
    "delete-many": lambda storage, name, folder: storage.delete_many([_named(name), _named("m/a")]),
}


def _objects(place: str) -> list[Case]:
    def act(folder: Path, call: str, name: str) -> None:
        uri = "gs://bucket" if place == "bucket" else os.fspath(folder / "objects")
        _CALLS[call](open_storage(uri), name, folder)

    return [
        Case(
            name=f"{place}-{call}-{title}",
            act=lambda folder, call=call, name=name: act(folder, call, name),
            expected="InvalidName",
            says="expected a relative path",
        )
        for call in _CALLS
        for title, name in NAMES.items()
    ]


def _refused(name: str, parse: Callable[[], object]) -> Case:
    return Case(name=name, act=lambda folder: parse(), expected="InvalidName")


def _local(
    name: str, make: Callable[[Path], object], act: Callable[[Storage], object], expected: str = FINE
) -> Case:
    def run(folder: Path) -> None:
        root = folder / "objects"
        root.mkdir()
        (root / "good").write_bytes(b"good")
        make(root)
        act(open_storage(root))

    return Case(name=f"local-{name}", act=run, expected=expected)


def _demand_good_alone(storage: Storage) -> None:
    assert [item.name for item in storage.walk()] == ["good"]


def _pipe(root: Path) -> None:
    os.mkfifo(root / "pipe")


def _misnamed(root: Path) -> None:
    for name in ("a\\b", "a\nb", "a\x1b[2J"):
        (root / name).write_bytes(b"")


def _promised_link(root: Path) -> None:
    (root / "train-linkedxx").symlink_to("../outside")
    (root / "train-linkedxx.promised").write_text("1")


def _link_out(root: Path) -> None:
    (root / "link").symlink_to("../../../outside/secret")


def _scratch(name: str, make: Callable[[Path], object]) -> Case:
    """Somebody else's things in the place for scratch: a stage goes on, and leaves them."""

    def act(folder: Path) -> None:
        root = Path(os.environ["REDRAW_SCRATCH"])
        root.mkdir(exist_ok=True)
        make(root)
        before = {path.name for path in root.iterdir()}
        with scratch_folder("train", 100) as scratch:
            (scratch / "file").write_bytes(b"x")
        assert before <= {path.name for path in root.iterdir()}

    return Case(name=f"scratch-{name}", act=act, expected=FINE)


def _promised(name: str) -> Callable[[Path], object]:
    def make(root: Path) -> None:
        (root / name).mkdir(exist_ok=True)
        (root / f"{name}.promised").write_text("no number")

    return make


CASES = [
    *_objects("bucket"),
    *_objects("folder"),
    *(_refused(f"model-{title}", lambda name=name: ModelName(name)) for title, name in NAMES.items()),
    *(
        _refused(f"attachment-{title}", lambda name=name: check_attachment_name(name))
        for title, name in NAMES.items()
    ),
    *(
        _refused(f"bucket-uri-{title}", lambda name=name: BucketUri(f"gs://bucket/{name}"))
        for title, name in NAMES.items()
        if title not in {"empty", "root", "slash-at-the-end", "part-of-300", "of-1100"}
    ),
    _refused("uri-null", lambda: Uri("/work/a\0b")),
    _refused("uri-escape", lambda: Uri("/work/\x1b[2J")),
    _refused("uri-5000", lambda: Uri("/" + "n" * 5000)),
    _refused("uri-scheme", lambda: Uri("file:///etc/passwd")),
    _local("link-out", _link_out, lambda storage: storage.read("link"), "InvalidName"),
    _local("link-out-range", _link_out, lambda storage: storage.read_range("link", 0, 4), "InvalidName"),
    _local("link-out-stat", _link_out, lambda storage: storage.stat("link"), "InvalidName"),
    _local(
        "folder-link-out",
        lambda root: (root / "a").symlink_to("../../../outside"),
        lambda storage: storage.read("a/secret"),
        "InvalidName",
    ),  # fmt: skip
    _local(
        "folder-link-out-create",
        lambda root: (root / "a").symlink_to("../../../outside"),
        lambda storage: storage.create("a/new", b"x"),
        "InvalidName",
    ),  # fmt: skip
    _local("link-loop", lambda root: (root / "loop").symlink_to("loop"), _demand_good_alone),
    _local("folder-loop", lambda root: (root / "loop").symlink_to("."), _demand_good_alone),
    _local(
        "pipe", lambda root: os.mkfifo(root / "pipe"), lambda storage: storage.read("pipe"), "InvalidName"
    ),
    _local(
        "pipe-range",
        lambda root: os.mkfifo(root / "pipe"),
        lambda storage: storage.read_range("pipe", 0, 9),
        "InvalidName",
    ),  # fmt: skip
    _local(
        "names-skipped",
        lambda root: [(root / name).write_bytes(b"") for name in ("a\\b", "a\nb", "a\x1b[2J")],
        _demand_good_alone,
    ),  # fmt: skip
    _local(
        "names-refused-of-a-whole",
        lambda root: (root / "a\nb").write_bytes(b""),
        lambda storage: storage.list(),
        "InvalidName",
    ),  # fmt: skip
    _local(
        "large",
        lambda root: os.truncate(root / "good", 1 << 40),
        lambda storage: storage.read("good"),
        "InvalidRecord",
    ),  # fmt: skip
    _refused("read-uri-dots", lambda: read_uri("gs://bucket/a/../b")),
    _scratch("promise-without-name", lambda root: (root / ".promised").write_text("9")),
    _scratch("folder-of-somebody", _promised("data")),
    _scratch("name-of-200", _promised("n" * 200)),
    _scratch("name-escapes", _promised("a\x1b[2J")),
    _scratch(
        "promise-of-a-link",
        lambda root: (
            (root / "train-linkedxx").symlink_to("../outside"),
            (root / "train-linkedxx.promised").write_text("1"),
        ),
    ),  # fmt: skip
    _scratch("pipe", lambda root: os.mkfifo(root / "pipe.promised")),
]
