"""Where something is, parsed once: hostile texts are refused, and parts are what a path's would be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from redraw.errors import InvalidName
from redraw.requests import MirrorRequest, PassportRequest
from redraw.uri import BucketUri, Uri

HOSTILE = ["", "a/b", "..", "a..b", "a b", "Mnist", "a\n", "a\0", "é", "-a", "/etc", "a" * 300]
LEADING_ELSEWHERE = ["b/..", "b/../c", "bucket/..", "bucket/../c", "bucket//c", "bucket/\n", "bucket/a\0"]


@pytest.mark.parametrize("name", [*HOSTILE, *LEADING_ELSEWHERE, "bucket/a b", "bucket/é"])
def test_bucket_uri_hostile_is_refused_by_one_line(name: str) -> None:
    with pytest.raises(InvalidName, match="expected gs://BUCKET") as caught:
        BucketUri(f"gs://{name}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [*HOSTILE, *LEADING_ELSEWHERE, "/"])
def test_uri_hostile_is_refused_by_one_line(name: str) -> None:
    with pytest.raises(InvalidName, match="expected gs://BUCKET") as caught:
        Uri(f"gs://{name}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("uri", ["s3://models", "models", "gs:/models", "/models"])
def test_bucket_uri_other_scheme_is_refused(uri: str) -> None:
    with pytest.raises(InvalidName, match="expected gs://BUCKET"):
        BucketUri(uri)


@pytest.mark.parametrize("uri", ["s3://models/a", "file:///etc", "javascript://x", "GS://models"])
def test_uri_other_scheme_is_refused(uri: str) -> None:
    with pytest.raises(InvalidName, match="expected gs://BUCKET"):
        Uri(uri)


def test_uri_in_a_bucket_has_the_parts_of_a_path() -> None:
    uri = Uri("gs://models/team/a b/")
    assert (uri, uri.is_bucket, uri.bucket, uri.key) == ("gs://models/team/a b", True, "models", "team/a b")
    assert (uri.name, uri.parent, uri.parent.parent.parent) == ("a b", "gs://models/team", "gs://models")
    assert uri / "x.json" == "gs://models/team/a b/x.json"
    assert uri.with_ending(".json") == "gs://models/team/a b.json"
    assert uri.absolute() is uri
    assert (Uri("gs://models/").key, Uri("gs://models").name) == ("", "")


def test_uri_of_this_machine_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    uri = Uri("run/a/")
    assert (uri, uri.is_bucket, uri.name, uri.parent) == ("run/a", False, "a", "run")
    assert uri.absolute() == str(tmp_path / "run" / "a")
    assert (Uri("/") / "a", Uri("a").parent, Uri("")) == ("/a", ".", "")
    assert Path(Uri(tmp_path) / "x") == tmp_path / "x"


def test_uri_is_a_text_and_parsed_once() -> None:
    bucket = BucketUri("gs://models")
    assert Uri(bucket) is bucket
    assert json.dumps({"uri": bucket}) == '{"uri": "gs://models"}'
    assert type(bucket / "a") is Uri


def test_folder_of_this_machine_that_is_a_uri_is_refused_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for uri in ("gs://models/here", "s3://models", "file:///srv/models"):
        for ask in (
            lambda out: MirrorRequest(bucket=BucketUri("gs://models"), out=out),
            lambda out: PassportRequest(uri=Uri("gs://models/mnist/1"), out=out),
        ):
            with pytest.raises(InvalidName, match="expected a local path, got a URI"):
                ask(uri)
    assert list(tmp_path.iterdir()) == []
