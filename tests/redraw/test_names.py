import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraw.errors import InvalidName
from redraw.names import check_attachment_name, check_bucket, check_model_name, split_bucket_uri

HOSTILE = ["", "a/b", "..", "a..b", "a b", "Mnist", "a\n", "a\0", "é", "-a", "/etc", "a" * 300]


@pytest.mark.parametrize("name", [*HOSTILE, "1a", "a-b", "a.b"])
def test_check_model_name_hostile_is_refused_by_one_line(name: str) -> None:
    with pytest.raises(InvalidName, match="expected a lower-case letter") as caught:
        check_model_name(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [*HOSTILE, "report", ".html", "a.", "a.b/c", "a.HTML"])
def test_check_attachment_name_hostile_is_refused_by_one_line(name: str) -> None:
    with pytest.raises(InvalidName, match="expected a file name") as caught:
        check_attachment_name(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["report.html", "graphs.svg", "ledger.json", "a-b_1.tar.gz"])
def test_check_attachment_name_file_name_passes(name: str) -> None:
    assert check_attachment_name(name) == name


@pytest.mark.parametrize("name", [*HOSTILE, "b/..", "b/../c", "b/a b", "b//c", "b/\n"])
def test_check_bucket_hostile_is_refused_by_one_line(name: str) -> None:
    with pytest.raises(InvalidName, match="expected gs://BUCKET") as caught:
        check_bucket(f"gs://{name}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("uri", ["s3://models", "models", "gs:/models", "/models"])
def test_check_bucket_other_scheme_is_refused(uri: str) -> None:
    with pytest.raises(InvalidName, match="expected gs://BUCKET"):
        check_bucket(uri)


def test_split_bucket_uri_prefix_is_told_apart() -> None:
    assert split_bucket_uri("gs://models/team/a/") == ("models", "team/a")
    assert split_bucket_uri("gs://models") == ("models", "")


@given(st.from_regex(r"[a-z][a-z0-9_]{0,62}", fullmatch=True))
def test_check_model_name_module_name_passes(name: str) -> None:
    assert check_model_name(name) == name
