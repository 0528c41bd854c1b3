"""The messages between the client and the worker: a header in JSON, then arrays."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from redraw.checkpoint.bundle.dtypes import name_of_array, numpy_dtype


def normalize_array(array: np.ndarray) -> np.ndarray:
    """Normalize an array for a request: text becomes an object array of bytes in UTF-8.

    Raises:
        TypeError: TensorFlow has no such dtype.
    """
    if name_of_array(array) is None:
        raise TypeError(f"expected values of a TensorFlow dtype, got {array.dtype}. Convert the array.")
    if array.dtype.kind not in "OSU":
        return array
    texts = [value.encode() if isinstance(value, str) else bytes(value) for value in array.reshape(-1)]
    strings = np.empty(len(texts), dtype=object)
    strings[:] = texts
    return strings.reshape(array.shape)


def send(connection: Connection, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Send one message.

    Args:
        connection: The connection to the other process.
        header: JSON values.
        arrays: Name to array, normalized by `normalize_array`.

    Raises:
        OSError: The other process has ended.
    """
    descriptions = [[name, name_of_array(array), array.shape] for name, array in arrays.items()]
    connection.send_bytes(json.dumps({**header, "arrays": descriptions}, allow_nan=False).encode())
    for array in arrays.values():
        if array.dtype == object:
            values = [*array.reshape(-1)]
            connection.send_bytes(np.array([len(value) for value in values], dtype=np.int64).tobytes())
            connection.send_bytes(b"".join(values))
        else:
            connection.send_bytes(array.tobytes())


def receive(connection: Connection) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Receive one message: its header and its arrays.

    Raises:
        EOFError: The other process has ended.
        OSError: The other process ended in the middle of a message.
    """
    header = json.loads(connection.recv_bytes())
    arrays = {name: _receive_array(connection, dtype, shape) for name, dtype, shape in header.pop("arrays")}
    return header, arrays


def _receive_array(connection: Connection, dtype: str, shape: list[int]) -> np.ndarray:
    if dtype != "string":
        return np.frombuffer(connection.recv_bytes(), numpy_dtype(dtype)).reshape(shape)
    lengths = np.frombuffer(connection.recv_bytes(), np.int64)
    text = io.BytesIO(connection.recv_bytes())
    strings = np.empty(len(lengths), dtype=object)
    strings[:] = [text.read(length) for length in lengths]
    return strings.reshape(shape)
