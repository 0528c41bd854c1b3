from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from redraw.checkpoint.bundle.dtypes import numpy_dtype
from redraw.errors import InvalidRequest
from redraw.records.signature import Signature, TensorSpec
from redraw.serving.values import decode_inputs, encode_outputs, encode_values

_NUMBERS = ["float16", "float32", "float64", "bfloat16", "bool", "int8", "int32", "int64", "uint8", "uint64"]
_NUMBERS += ["complex64", "complex128"]


def decode(dtype: str, shape: tuple[int | None, ...], value: Any) -> np.ndarray:
    signature = Signature(inputs={"x": TensorSpec(dtype, shape)}, outputs={})
    return decode_inputs("here", signature, {"x": value})["x"]


@given(st.data(), st.sampled_from(_NUMBERS))
def test_decode_gives_back_every_number_that_encode_wrote(data: st.DataObject, dtype: str) -> None:
    held = numpy_dtype(dtype)
    assert held is not None
    drawn = np.dtype(np.float16 if dtype == "bfloat16" else held)
    array = data.draw(hnp.arrays(drawn, hnp.array_shapes(min_dims=1, max_dims=3, min_side=1))).astype(held)

    text = json.dumps(encode_values(array), allow_nan=False)
    back = decode(dtype, (None,) * array.ndim, json.loads(text))

    assert back.dtype == held
    # NumPy's comparison does not know that a NaN of bfloat16 is one.
    np.testing.assert_array_equal(back.astype(drawn), array.astype(drawn))


@pytest.mark.parametrize("dtype", ["int4", "uint4", "int8", "uint64"])
def test_encode_integers_are_integers_and_decode_gives_them_back(dtype: str) -> None:
    array = np.array([0, 1, 7]).astype(numpy_dtype(dtype))

    values = encode_values(array)

    assert json.dumps(values) == "[0, 1, 7]"
    assert decode(dtype, (None,), values).tolist() == [0, 1, 7]
    with pytest.raises(InvalidRequest, match="got -9"):
        decode("int4", (None,), [-9])


@given(st.lists(st.binary()))
def test_decode_gives_back_every_bytes_that_encode_wrote(values: list[bytes]) -> None:
    array = np.array([*values, b"end"], dtype=object)

    back = decode("string", (None,), json.loads(json.dumps(encode_values(array))))

    assert [*back] == [*array]


def test_encode_float32_keeps_its_own_digits_and_words() -> None:
    array = np.float32([0.1, math.nan, math.inf, -math.inf])

    assert encode_values(array) == [0.1, "NaN", "Infinity", "-Infinity"]


def test_encode_bytes_that_are_no_text_stand_in_base_64() -> None:
    assert encode_values(np.array([b"\xff", "é".encode()], dtype=object)) == [{"b64": "/w=="}, "é"]


@pytest.mark.parametrize(
    ("dtype", "shape", "value", "got"),
    [
        ("uint8", (None, 2), [[1, 2], [3]], "lists of different lengths"),
        ("uint8", (None, 2), [[1, 2, 3]], r"values of shape \[1, 3\]"),
        ("uint8", (None, 2), [1, 2], r"values of shape \[2\]"),
        ("uint8", (None,), [256], "256"),
        ("uint8", (None,), [-1], "-1"),
        ("uint8", (None,), [1.5], "1.5"),
        ("uint8", (None,), [True], "True"),
        ("int64", (None,), [2**63], "9223372036854775808"),
        ("float32", (None,), ["1"], "'1'"),
        ("float32", (None,), [None], "None"),
        ("float64", (None,), [10**400], "1000000"),
        ("bool", (None,), [1], "1"),
        ("string", (None,), [5], "5"),
        ("string", (None,), [{"b64": "no base 64!"}], "{.b64"),
        ("string", (None,), [{"b64": "", "more": 1}], "{.b64.: .., .more"),
        ("complex64", (None,), [1], "1"),
        ("complex64", (None,), ["one"], "'one'"),
        ("variant", (None,), [1], "1"),
    ],
)
def test_decode_value_that_misfits_is_named_with_what_was_expected(
    dtype: str, shape: tuple[int | None, ...], value: Any, got: str
) -> None:
    with pytest.raises(InvalidRequest, match=rf"here, input 'x': expected {dtype} \[.*got {got}"):
        decode(dtype, shape, value)


def test_decode_lists_nested_beyond_every_tensor_are_refused() -> None:
    value: Any = 1
    for _ in range(200):
        value = [value]

    with pytest.raises(InvalidRequest, match="input 'x': expected uint8"):
        decode("uint8", (None, 2), value)


def test_decode_inputs_of_other_names_are_refused() -> None:
    signature = Signature(inputs={"x": TensorSpec("uint8", (None,))}, outputs={})

    with pytest.raises(InvalidRequest, match=r"expected the inputs \['x'\], got \['y'\]"):
        decode_inputs("here", signature, {"y": [1]})


def test_encode_outputs_of_too_many_values_asks_for_fewer_rows() -> None:
    with pytest.raises(InvalidRequest, match="Send fewer rows"):
        encode_outputs("here", {"y": np.zeros((1001, 200))})
