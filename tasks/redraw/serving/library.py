"""TensorFlow's C API, called without importing TensorFlow.

Source:
    https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/c/c_api.h, tf_tensor.h,
    tf_status.h and tf_tstring.h
"""

from __future__ import annotations

import ctypes
import importlib.util
from ctypes import POINTER, c_char_p, c_int, c_int64, c_size_t, c_ubyte, c_void_p
from functools import cache
from pathlib import Path

# sizeof(TF_TString)
STRING_SIZE = 24
# TensorFlow's message may contain its entire function library, if a function is missing from it.
_LONGEST_MESSAGE = 1000

_CODES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)

Deallocator = ctypes.CFUNCTYPE(None, c_void_p, c_size_t, c_void_p)


class Endpoint(ctypes.Structure):
    """`TF_Output` and `TF_Input`: an operation and the index of its output or input."""

    _fields_ = [("operation", c_void_p), ("index", c_int)]  # noqa: RUF012 - required by ctypes


class Buffer(ctypes.Structure):
    """`TF_Buffer`: bytes that TensorFlow owns."""

    _fields_ = [("data", POINTER(c_ubyte)), ("length", c_size_t)]  # noqa: RUF012 - required by ctypes


_FUNCTIONS = {
    "TF_Version": (c_char_p,),
    "TF_NewStatus": (c_void_p,),
    "TF_DeleteStatus": (None, c_void_p),
    "TF_GetCode": (c_int, c_void_p),
    "TF_Message": (c_char_p, c_void_p),
    "TF_NewBuffer": (c_void_p,),
    "TF_DeleteBuffer": (None, c_void_p),
    "TF_NewGraph": (c_void_p,),
    "TF_DeleteGraph": (None, c_void_p),
    "TF_GraphOperationByName": (c_void_p, c_void_p, c_char_p),
    "TF_GraphNextOperation": (c_void_p, c_void_p, POINTER(c_size_t)),
    "TF_OperationName": (c_char_p, c_void_p),
    "TF_OperationOpType": (c_char_p, c_void_p),
    "TF_OperationNumOutputs": (c_int, c_void_p),
    "TF_OperationGetAttrType": (None, c_void_p, c_char_p, POINTER(c_int), c_void_p),
    "TF_NewOperation": (c_void_p, c_void_p, c_char_p, c_char_p),
    "TF_AddInput": (None, c_void_p, Endpoint),
    "TF_SetAttrType": (None, c_void_p, c_char_p, c_int),
    "TF_FinishOperation": (c_void_p, c_void_p, c_void_p),
    "TF_NewSessionOptions": (c_void_p,),
    "TF_DeleteSessionOptions": (None, c_void_p),
    "TF_LoadSessionFromSavedModel": (
        c_void_p,
        c_void_p,
        c_void_p,
        c_char_p,
        POINTER(c_char_p),
        c_int,
        c_void_p,
        c_void_p,
        c_void_p,
    ),
    "TF_CloseSession": (None, c_void_p, c_void_p),
    "TF_DeleteSession": (None, c_void_p, c_void_p),
    "TF_SessionRun": (
        None,
        c_void_p,
        c_void_p,
        POINTER(Endpoint),
        POINTER(c_void_p),
        c_int,
        POINTER(Endpoint),
        POINTER(c_void_p),
        c_int,
        c_void_p,
        c_int,
        c_void_p,
        c_void_p,
    ),
    "TF_NewTensor": (
        c_void_p,
        c_int,
        POINTER(c_int64),
        c_int,
        c_void_p,
        c_size_t,
        Deallocator,
        c_void_p,
    ),
    "TF_AllocateTensor": (c_void_p, c_int, POINTER(c_int64), c_int, c_size_t),
    "TF_DeleteTensor": (None, c_void_p),
    "TF_TensorType": (c_int, c_void_p),
    "TF_NumDims": (c_int, c_void_p),
    "TF_Dim": (c_int64, c_void_p, c_int),
    "TF_TensorByteSize": (c_size_t, c_void_p),
    "TF_TensorData": (c_void_p, c_void_p),
    "TF_StringCopy": (None, c_void_p, c_char_p, c_size_t),
    "TF_StringGetDataPointer": (c_void_p, c_void_p),
    "TF_StringGetSize": (c_size_t, c_void_p),
    "TF_StringDealloc": (None, c_void_p),
}


@cache
def tensorflow_library() -> ctypes.CDLL:
    """TensorFlow's C++ runtime, with the functions of its C API declared.

    Raises:
        FileNotFoundError: This interpreter has no TensorFlow.
    """
    spec = importlib.util.find_spec("tensorflow")  # finds the folder without importing it
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            "the package TensorFlow is not installed in this interpreter. Install"
            " airflow-provider-redraw[tensorflow]."
        )
    library = ctypes.CDLL(str(Path(spec.origin).parent / "libtensorflow_cc.so.2"))
    for name, (result, *arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class StatusError(Exception):
    """A call of the C API failed.

    Attributes:
        code: TensorFlow's name of the error.
        message: TensorFlow's message.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def _shorten(message: str) -> str:
    """The beginning of TensorFlow's message, which may contain an entire graph."""
    more = len(message) - _LONGEST_MESSAGE
    return message if more <= 0 else f"{message[:_LONGEST_MESSAGE]} … and {more} more characters"


class Status:
    """A `TF_Status` for a call: `with Status() as status: call(…, status.pointer)` raises its error."""

    def __enter__(self) -> Status:
        self._library = tensorflow_library()
        self.pointer = self._library.TF_NewStatus()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        code = self._library.TF_GetCode(self.pointer)
        message = _shorten(self._library.TF_Message(self.pointer).decode(errors="replace"))
        self._library.TF_DeleteStatus(self.pointer)
        if code and kind is None:
            raise StatusError(_CODES[code] if code < len(_CODES) else str(code), message)
