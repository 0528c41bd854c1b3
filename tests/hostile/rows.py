"""One bad record is one bad row: what reads records goes on with the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from redraw.checkpoint.catalogue.adopt import adopt_checkpoints
from redraw.checkpoint.catalogue.listing import choose_checkpoint, list_catalogue
from redraw.names import ModelName
from redraw.publish.browse import Browser
from redraw.publish.bucket.layout import claim_name, encode_record, list_claims, list_versions, release_name
from redraw.publish.push.versions import claim_version
from redraw.publish.releases import read_releases
from redraw.requests import AdoptRequest, CheckpointRequest, CheckpointsRequest
from redraw.storage.opening import open_storage
from redraw.uri import Uri
from tests.golden.records import CHECKPOINT, CLAIM, RELEASE
from tests.hostile.archives import pack
from tests.hostile.bundles import write_good
from tests.hostile.case import FINE, Case
from tests.hostile.records import TEXTS
from tests.hostile.saver_v1_files import declare

__all__ = ["CASES"]

_MODEL = ModelName("digits")
_GOOD = 2026010203040500
_BAD = _GOOD + 1
_NAMES = ("10000000000000000000000", "٣", "-1", "0", "1e3", "../../x", "a\x1b[2J")


def _case(reader: str, title: str, act: Callable[[Path], object]) -> Case:
    return Case(name=f"{reader}-next-to-{title}", act=act, expected=FINE)


def _releases(title: str, content: bytes) -> Case:
    def act(folder: Path) -> None:
        storage = open_storage(folder)
        storage.create(release_name(_MODEL, _GOOD), encode_record(replace(RELEASE, version=_GOOD)))
        storage.create(release_name(_MODEL, _BAD), content)
        releases, unreadable = read_releases(storage, _MODEL)
        assert [release.version for release in releases] == [_GOOD]
        assert list(unreadable) == [_BAD]
        page = Browser(storage).versions(_MODEL)
        assert [row.version for row in page.rows] == [_GOOD]
        assert [row.version for row in page.unreadable] == [_BAD]
        assert page.unreadable[0].problem.isprintable()

    return _case("releases", title, act)


def _pointer(title: str, content: bytes) -> Case:
    def act(folder: Path) -> None:
        storage = open_storage(folder)
        storage.create("digits/live.json", content)
        pointer, problem = Browser(storage).pointer(_MODEL)
        assert pointer.version is None
        assert problem
        assert problem.isprintable()

    return _case("pointer", title, act)


def _claims(title: str, content: bytes) -> Case:
    def act(folder: Path) -> None:
        storage = open_storage(folder)
        storage.create(claim_name(_MODEL, _GOOD), content)
        claimed = claim_version(storage, CLAIM, CHECKPOINT.trained_at)
        assert claimed.version == _BAD
        assert claim_version(storage, CLAIM, CHECKPOINT.trained_at) == claimed
        assert set(list_claims(storage, _MODEL, "20260102030405")) == {_GOOD, _BAD}

    return _case("claims", title, act)


def _checkpoints(title: str, content: bytes) -> Case:
    def act(folder: Path) -> None:
        catalogue = open_storage(folder)
        catalogue.create("digits/200-cccccccccccc/record.json", CHECKPOINT.to_bytes())
        catalogue.create("digits/7-aaaaaaaaaaaa/record.json", content)
        listed = list_catalogue(CheckpointsRequest(model=_MODEL, catalogue=Uri(folder)))
        assert [found.step for found in listed.checkpoints] == [200]
        assert [row.reason.isprintable() for row in listed.unreadable] == [True]
        assert (
            choose_checkpoint(CheckpointRequest(model=_MODEL, catalogue=Uri(folder), latest=True)).step == 200
        )

    return _case("checkpoints", title, act)


def _adopted(title: str, name: str, content: bytes) -> Case:
    """A folder of one good checkpoint and a bad one, of any format."""

    def act(folder: Path) -> None:
        (folder / "run").mkdir()
        write_good(folder / "run")
        (folder / "run" / name).write_bytes(content)
        report = adopt_checkpoints(
            AdoptRequest(model=_MODEL, source=Uri(folder / "run"), catalogue=Uri(folder / "catalogue"))
        )
        assert [found.step for found in report.adopted] == [7]
        (broken,) = report.broken
        assert broken.reason.isprintable()

    return _case("adopted", title, act)


def _altered(**changes: object) -> bytes:
    """A record that is whole but for some values."""
    text = encode_record(replace(RELEASE, version=_BAD)).decode()
    for key, value in changes.items():
        old = str(getattr(RELEASE, key)) if key != "version" else str(_BAD)
        text = text.replace(old, str(value))
    return text.encode()


def _named(title: str, name: str) -> Case:
    """Objects among the records whose names are no versions."""

    def act(folder: Path) -> None:
        storage = open_storage(folder)
        storage.create(release_name(_MODEL, _GOOD), encode_record(replace(RELEASE, version=_GOOD)))
        (folder / "digits" / "releases" / f"{name.replace('/', '_')}.json").write_bytes(b"{}")
        assert list_versions(storage, _MODEL) == [_GOOD]
        assert Browser(storage).numbers(_MODEL) == (_GOOD,)

    return _case("versions", title, act)


_RECORDS = TEXTS | {
    "digest-of-dots": _altered(digest="../" * 21 + "a"),
    "time-after-9999": _altered(pushed_at="10000-01-01T00:00:00Z"),
    "other-record": CHECKPOINT.to_bytes().replace(b'"Checkpoint"', b'"Other"'),
}
CASES = [
    *(_releases(title, content) for title, content in _RECORDS.items()),
    *(_pointer(title, content) for title, content in TEXTS.items()),
    *(_claims(title, content) for title, content in TEXTS.items()),
    *(_checkpoints(title, content) for title, content in TEXTS.items()),
    *(_named(f"name-{number}", name) for number, name in enumerate(_NAMES)),
    _adopted("h5-garbled", "bad-9.h5", b"\x89HDF\r\n\x1a\n" + b"\xff" * 500),
    _adopted("h5-empty", "bad-9.h5", b""),
    _adopted("keras-garbled", "bad-9.keras", b"PK\x03\x04" + bytes(500)),
    _adopted("keras-without-weights", "bad-9.keras", pack({"config.json": b"{}"})),
    _adopted("saver-v1", "bad-9", declare(999, [2])),
    _adopted("index-garbled", "bad-9.index", b"\xff" * 500),
    _adopted("index-empty", "bad-9.index", b""),
    _adopted("name-escapes", "bad\u202e-9.h5", b""),
    _adopted("name-240", "b" * 236 + "-9.h5", b""),
]
