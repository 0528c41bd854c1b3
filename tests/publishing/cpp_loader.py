"""Load a SavedModel by TensorFlow's C++ loader, the one in its server, without importing TensorFlow."""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import POINTER, byref, c_char_p, c_float, c_int, c_size_t, c_void_p, cast
from pathlib import Path

__all__ = ["CppLoader", "NotLoaded"]

_POINTERS = (
    "TF_NewStatus",
    "TF_NewGraph",
    "TF_NewSessionOptions",
    "TF_LoadSessionFromSavedModel",
    "TF_GraphOperationByName",
    "TF_TensorData",
)


class NotLoaded(Exception):  # noqa: N818 - the loader's answer
    """The loader, or the model once it was loaded, reported an error."""


class _Output(ctypes.Structure):
    _fields_ = (("operation", c_void_p), ("index", c_int))


class CppLoader:
    """The loader, from the wheel's shared library; it takes less than a second to open."""

    def __init__(self) -> None:
        found = importlib.util.find_spec("tensorflow")
        assert found is not None
        assert found.submodule_search_locations is not None
        self._library = ctypes.CDLL(f"{found.submodule_search_locations[0]}/libtensorflow_cc.so.2")
        for name in _POINTERS:
            getattr(self._library, name).restype = c_void_p
        self._library.TF_Message.restype = c_char_p
        self._library.TF_TensorByteSize.restype = c_size_t
        self._status = c_void_p(self._library.TF_NewStatus())

    def ask(self, folder: Path, output: str) -> list[float]:
        """Load the SavedModel in a folder and compute one of its tensors, which needs no input.

        Args:
            folder: With `saved_model.pb` in it.
            output: The tensor's name; it is of float32.

        Returns:
            Its elements.

        Raises:
            NotLoaded: What a server would report.
        """
        with self._session(folder) as (session, graph):
            name, _, index = output.partition(":")
            target = _Output(self._library.TF_GraphOperationByName(graph, name.encode()), int(index))
            answer = c_void_p()
            nothing = (None, None, 0)
            self._library.TF_SessionRun(
                session, None, *nothing, byref(target), byref(answer), 1, None, 0, None, self._status
            )
            self._demand_ok()
            try:
                size = self._library.TF_TensorByteSize(answer) // ctypes.sizeof(c_float)
                data = c_void_p(self._library.TF_TensorData(answer))
                return list(cast(data, POINTER(c_float * size)).contents)
            finally:
                self._library.TF_DeleteTensor(answer)

    @contextmanager
    def _session(self, folder: Path) -> Iterator[tuple[c_void_p, c_void_p]]:
        library = self._library
        graph, options = c_void_p(library.TF_NewGraph()), c_void_p(library.TF_NewSessionOptions())
        tags = (c_char_p * 1)(b"serve")
        session = c_void_p(
            library.TF_LoadSessionFromSavedModel(
                options, None, str(folder).encode(), tags, 1, graph, None, self._status
            )
        )
        try:
            self._demand_ok()
            yield session, graph
        finally:
            if session:
                library.TF_CloseSession(session, self._status)
                library.TF_DeleteSession(session, self._status)
            library.TF_DeleteSessionOptions(options)
            library.TF_DeleteGraph(graph)

    def _demand_ok(self) -> None:
        if self._library.TF_GetCode(self._status):
            raise NotLoaded(self._library.TF_Message(self._status).decode(errors="replace"))
