import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraw.errors import InvalidName
from redraw.names import ModelName, Words, check_attachment_name

HOSTILE = ["", "a/b", "..", "a..b", "a b", "Mnist", "a\n", "a\0", "é", "-a", "/etc", "a" * 300]


@pytest.mark.parametrize("name", [*HOSTILE, "1a", "a-b", "a.b"])
def test_model_name_hostile_is_refused_by_one_line(name: str) -> None:
    with pytest.raises(InvalidName, match="expected a lower-case letter") as caught:
        ModelName(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [*HOSTILE, "report", ".html", "a.", "a.b/c", "a.HTML"])
def test_check_attachment_name_hostile_is_refused_by_one_line(name: str) -> None:
    with pytest.raises(InvalidName, match="expected a file name") as caught:
        check_attachment_name(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["report.html", "graphs.svg", "ledger.json", "a-b_1.tar.gz"])
def test_check_attachment_name_file_name_passes(name: str) -> None:
    assert check_attachment_name(name) == name


@given(st.from_regex(r"[a-z][a-z0-9_]{0,62}", fullmatch=True))
def test_model_name_module_name_passes(name: str) -> None:
    assert ModelName(name) == name


def test_model_name_of_a_name_is_that_name() -> None:
    assert ModelName(ModelName("mnist")) == "mnist"


def test_words_have_no_spaces_around_them_and_blank_ones_are_none() -> None:
    assert Words(" the metrics are wrong\n") == "the metrics are wrong"
    assert not Words(" \n")


@pytest.mark.parametrize("text", ["a\udcff", "a" * 10_001])
def test_words_that_no_reader_could_read_are_refused(text: str) -> None:
    with pytest.raises(InvalidName, match="expected UTF-8 of at most 10,000 characters"):
        Words(text)
