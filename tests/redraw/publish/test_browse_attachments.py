from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from redraw.errors import ObjectConflict, VersionNotFound
from redraw.publish.browse import Browser
from redraw.publish.bucket.layout import ATTACHMENT_BYTES, encode_record, release_name
from redraw.publish.push.push import push_model
from redraw.records import Release
from redraw.storage.opening import open_storage

pytestmark = pytest.mark.usefixtures("gcs_server")


@pytest.fixture
def release(bucket: str, make_export: Any) -> Release:
    return push_model(make_export().request(bucket))


@pytest.fixture
def browser(bucket: str) -> Browser:
    return Browser(open_storage(bucket))


def _rewrite(browser: Browser, name: str, content: bytes) -> None:
    found = browser.storage.stat(name)
    assert found is not None
    browser.storage.replace(name, content, found.generation)


def test_read_attachment_of_a_version_is_what_was_pushed(browser: Browser, release: Release) -> None:
    assert browser.attachment(release, "graphs.svg") == b"<svg/>"
    assert browser.attachment(release, "ledger.json") == b'{"record": "Ledger"}'


@pytest.mark.parametrize("name", ["latency.json", "", "../live.json", "graphs"])
def test_read_attachment_that_the_version_has_not_is_none(
    browser: Browser, release: Release, name: str
) -> None:
    assert browser.attachment(release, name) is None


def test_read_attachment_that_was_removed_is_none(browser: Browser, release: Release) -> None:
    name = release.attachments["graphs.svg"].name
    found = browser.storage.stat(name)
    assert found is not None
    browser.storage.delete(name, found.generation)
    assert browser.attachment(release, "graphs.svg") is None


@pytest.mark.parametrize("content", [b"<svG/>", b"<svg/", b"<svg/> and a thousand more"])
def test_read_attachment_that_was_altered_is_refused(
    browser: Browser, release: Release, content: bytes
) -> None:
    _rewrite(browser, release.attachments["graphs.svg"].name, content)
    with pytest.raises(ObjectConflict, match=r"graphs\.svg: expected 6 bytes with SHA-256"):
        browser.attachment(release, "graphs.svg")


def test_read_attachment_too_large_to_show_is_refused_unread(browser: Browser, release: Release) -> None:
    listed = replace(release.attachments["graphs.svg"], size=ATTACHMENT_BYTES + 1)
    altered = replace(release, attachments={"graphs.svg": listed})
    _rewrite(browser, release_name("digits", release.version), encode_record(altered))
    with pytest.raises(ObjectConflict, match=f"expected a file of at most {ATTACHMENT_BYTES} bytes"):
        browser.attachment(browser.release("digits", release.version), "graphs.svg")


def test_read_large_attachment_comes_in_parts_after_all_of_it_was_checked(
    browser: Browser, release: Release
) -> None:
    content = bytes(range(256)) * (9 << 12)
    small = release.attachments["graphs.svg"]
    listed = replace(small, size=len(content), sha256=hashlib.sha256(content).hexdigest())
    _rewrite(browser, small.name, content)
    altered = replace(release, attachments={"graphs.svg": listed})
    _rewrite(browser, release_name("digits", release.version), encode_record(altered))
    altered = browser.release("digits", release.version)
    parts = list(browser.attachment_parts(altered, "graphs.svg") or ())
    assert [len(part) for part in parts] == [4 << 20, 4 << 20, 1 << 20]
    assert b"".join(parts) == content
    _rewrite(browser, small.name, content[:-1] + b"x")
    with pytest.raises(ObjectConflict, match="as published"):
        browser.attachment_parts(altered, "graphs.svg")


def test_read_attachment_of_no_version_is_not_found(browser: Browser, release: Release) -> None:
    with pytest.raises(VersionNotFound):
        browser.attachment(browser.release("digits", release.version + 1), "graphs.svg")


def test_read_attachment_that_is_larger_than_asked_is_refused_unread(
    browser: Browser, release: Release
) -> None:
    with pytest.raises(ObjectConflict, match=r"graphs\.svg: .* at most 5 bytes to show, got 6"):
        browser.attachment(release, "graphs.svg", 5)
