"""Convert tensors to JSON and back: nested lists, like in TensorFlow Serving's REST API.

Bytes that are no UTF-8 text become `{"b64": …}`; numbers that JSON lacks become the texts `"NaN"`,
`"Infinity"` and `"-Infinity"`; a complex number becomes `"(1+2j)"`.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import ml_dtypes
import numpy as np

from redraw.checkpoint.bundle.dtypes import name_of_array, numpy_dtype
from redraw.errors import InvalidRequest
from redraw.records.results import AnsweredTensor
from redraw.records.signature import Signature, TensorSpec

_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
# The most values of an answer that a page shows or a pipe carries.
_MOST_VALUES = 200_000


def decode_inputs(where: str, signature: Signature, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Read a request's inputs, checked against the signature.

    Args:
        where: The name of the signature in messages.
        signature: The signature.
        inputs: Input name to nested lists.

    Returns:
        Input name to values; strings as an object array of bytes.

    Raises:
        InvalidRequest: An input is missing or unknown, or its values do not have the
            signature's dtype and shape; the message names it.
    """
    if set(inputs) != set(signature.inputs):
        raise InvalidRequest(
            f"{where}: expected the inputs {sorted(signature.inputs)}, got {sorted(inputs)}. Correct the"
            " request."
        )
    return {
        name: decode_tensor(f"{where}, input {name!r}", spec, inputs[name])
        for name, spec in signature.inputs.items()
    }


def decode_tensor(where: str, spec: TensorSpec, value: Any) -> np.ndarray:
    """Read one tensor, checked against its spec.

    Raises:
        InvalidRequest: The values do not have the spec's dtype and shape.
    """
    try:
        array = np.array(value, dtype=object)
    except (ValueError, RecursionError) as err:
        raise _misfit(where, spec, "lists that are nested too deeply") from err
    # NumPy supports at most 32 dimensions.
    if array.ndim <= len(spec.shape) and any(isinstance(element, list) for element in array.flat):
        raise _misfit(where, spec, "lists of different lengths")
    fits = len(array.shape) == len(spec.shape) and all(
        size is None or size == got for size, got in zip(spec.shape, array.shape, strict=True)
    )
    if not fits:
        raise _misfit(where, spec, f"values of shape {list(array.shape)}")
    elements = [_element(where, spec, element) for element in array.flat]
    if spec.dtype == "string":
        strings = np.empty(len(elements), dtype=object)
        strings[:] = elements
        return strings.reshape(array.shape)
    with np.errstate(over="ignore"):  # numbers that are too large for a short float become infinite
        return np.array(elements, dtype=numpy_dtype(spec.dtype)).reshape(array.shape)


def _element(where: str, spec: TensorSpec, value: Any) -> Any:
    """One value as a Python object, if the dtype can represent it."""
    dtype = spec.dtype
    if dtype == "string" and (data := _bytes_of(value)) is not None:
        return data
    if dtype == "bool" and isinstance(value, bool):
        return value
    if dtype.startswith(("int", "uint")) and _fits_integer(dtype, value):
        return value
    if "float" in dtype and (number := _number(value)) is not None:
        return number
    if dtype.startswith("complex") and isinstance(value, str):
        with suppress(ValueError):
            return complex(value)
    raise _misfit(where, spec, f"{value!r:.60}")


def _bytes_of(value: Any) -> bytes | None:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except binascii.Error:
            return None
    return None


def _fits_integer(dtype: str, value: Any) -> bool:
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    bounds = ml_dtypes.iinfo(numpy_dtype(dtype))
    return bool(bounds.min <= value <= bounds.max)


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        return _WORDS.get(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _misfit(where: str, spec: TensorSpec, got: str) -> InvalidRequest:
    return InvalidRequest(f"{where}: expected {spec}, got {got}. Correct the request.")


def encode_outputs(where: str, outputs: Mapping[str, np.ndarray]) -> dict[str, AnsweredTensor]:
    """An answer as JSON values.

    Args:
        where: The name of the signature in messages.
        outputs: Output name to values.

    Raises:
        InvalidRequest: There are too many values.
    """
    count = sum(value.size for value in outputs.values())
    if count > _MOST_VALUES:
        raise InvalidRequest(
            f"{where}: expected an answer of at most {_MOST_VALUES} values, got {count}. Send fewer rows."
        )
    return {
        name: AnsweredTensor(
            dtype=name_of_array(value) or str(value.dtype), shape=value.shape, values=encode_values(value)
        )
        for name, value in sorted(outputs.items())
    }


def encode_values(array: np.ndarray) -> Any:
    """An array as nested lists of JSON values."""
    # NumPy has no integers of fewer than eight bits; `ml_dtypes` has.
    short = array.dtype.kind == "V" and "int" in array.dtype.name
    flat = np.empty(array.size, dtype=object)
    flat[:] = [_plain(element) for element in (array.astype(np.int8) if short else array).flat]
    return flat.reshape(array.shape).tolist()


def _plain(element: Any) -> Any:
    if isinstance(element, bytes):
        return _text(element)
    if isinstance(element, bool | np.bool_):
        return bool(element)
    if isinstance(element, int | np.integer):
        return int(element)
    try:
        # With its own digits: 0.1 of float32 becomes 0.1, not 0.10000000149011612.
        number = float(str(element))
    except ValueError:
        return str(element)  # a complex number
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _text(data: bytes) -> Any:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(data).decode()}
