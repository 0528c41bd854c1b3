from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redraw.definition import TensorSpec
from redraw.errors import InvalidRequest
from redraw.inspect.answers.naming import UNNAMED
from redraw.inspect.answers.record_parts import Misfit, Problems, RecordedFile, cast_values, read_values

SPEC = TensorSpec("int64", (None,))


@pytest.mark.parametrize("content", [b"\xff\xff", b"\x08\x63", b"\x08\x09\x22\x02\x00\x00"])
def test_read_values_of_a_damaged_tensor_names_the_input(content: bytes) -> None:
    with pytest.raises(Misfit, match="^input 'x': expected "):
        read_values("input 'x'", SPEC, content)


@pytest.mark.parametrize(
    ("dtype", "value", "cast"),
    [
        ("int64", [1.0, 2.0**53 - 1], [1, 2**53 - 1]),
        ("int64", [2**60 + 1], [2**60 + 1]),  # no float next to it
        ("int64", [2.0**53], None),  # what was rounded to it nobody knows
        ("int64", [1.5], None),
        ("int8", [127, -128], [127, -128]),
        ("int8", [128], None),
        ("bool", [True, False], [True, False]),
        ("float32", [1, 2.5], [1.0, 2.5]),
        ("float16", [1e6], [np.inf]),
        ("bfloat16", [1.0], [1.0]),
        ("half", ["a"], None),
        ("string", ["a", {"b64": "Yg=="}], [b"a", b"b"]),
        ("string", [1], None),
        ("complex64", [1.5], [1.5 + 0j]),
    ],
)
def test_cast_values_takes_what_the_dtype_holds(dtype: str, value: list[Any], cast: list[Any] | None) -> None:
    spec = TensorSpec(dtype, (None,))
    if cast is None:
        with pytest.raises((Misfit, InvalidRequest), match=f"^input 'x': expected {dtype}"):
            cast_values("input 'x'", spec, value)
    else:
        assert cast_values("input 'x'", spec, value).tolist() == cast


def test_parse_takes_the_request_and_the_answer_of_either_form(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("")
    file = RecordedFile(tmp_path / "log", answers=True)
    apart = file.parse(b'{"request": {"inputs": {"x": [1]}, "signature": "s"}, "response": {"outputs": [2]}}')
    assert (apart.signature, apart.inputs, apart.outputs) == ("s", {"x": [1]}, {UNNAMED: [2]})
    rows = file.parse(
        b'{"instances": [{"x": 1, "z": 2}, {"x": 3, "z": 4}], "predictions": [{"b64": "Yg=="}]}'
    )
    assert (rows.signature, rows.inputs) == (None, {"x": [1, 3], "z": [2, 4]})
    assert rows.outputs == {UNNAMED: [{"b64": "Yg=="}]}
    for record, got in (
        (
            b'{"request": {"inputs": [1]}, "response": [2]}',
            "expected a JSON object with a request and its answer",
        ),
        (
            b'{"request": [1], "response": {"outputs": [2]}}',
            "expected a JSON object with a request and its answer",
        ),
        (
            b'{"instances": [{"x": 1}, {"z": 1}], "outputs": [1]}',
            "expected the same names in each of instances",
        ),
        (b'{"instances": [{"x": 1}, 2], "outputs": [1]}', "expected the same names in each of instances"),
        (b"{}", "expected inputs or instances, got nothing"),
    ):
        with pytest.raises(Misfit, match=got):
            file.parse(record)


def test_problems_are_the_first_five_and_how_many_more() -> None:
    problems = Problems()
    for line in range(5):
        problems.add_misfit(f"line {line}", InvalidRequest("expected a number. Correct the request."))
    assert problems.listed() == [f"line {line}: expected a number" for line in range(5)]
    problems.add("last")
    problems.add("last")
    assert problems.listed()[4:] == ["line 4: expected a number", "2 more lines like these"]


def test_cast_values_takes_complex_numbers_only_for_complex_numbers() -> None:
    tensor = b"\x08\x08\x12\x04\x12\x02\x08\x01\x22\x08" + np.complex64([1 + 2j]).tobytes()
    assert cast_values("input 'x'", TensorSpec("complex64", (None,)), tensor).tolist() == [1 + 2j]
    with pytest.raises(Misfit, match=r"^input 'x': expected float32, got complex64$"):
        cast_values("input 'x'", TensorSpec("float32", (None,)), tensor)
