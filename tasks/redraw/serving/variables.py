"""The values that a loaded model's variables have now, as digests."""

from __future__ import annotations

from collections.abc import Iterator
from ctypes import byref, c_int, c_size_t

from redraw.serving.library import Endpoint, Status, StatusError, tensorflow_library
from redraw.serving.runs import fetched_tensors
from redraw.serving.tensors import checksum_tensor

# TF1's reference variables give their value themselves, resource variables by an operation.
_REFERENCES = ("Variable", "VariableV2")
_RESOURCE = "VarHandleOp"
_UNINITIALIZED = "FAILED_PRECONDITION"


class VariableReader:
    """Reads every variable of a graph.

    Args:
        graph: A `TF_Graph`, which gets an operation to read each resource variable.
        session: A `TF_Session` on it.
    """

    def __init__(self, graph: int, session: int) -> None:
        self._graph, self._session = graph, session
        self._values = dict(sorted(self._find()))

    def digest(self) -> dict[str, str]:
        """Variable name to a digest of its value; "uninitialized" where it has none.

        Raises:
            StatusError: A variable cannot be read.
        """
        if not self._values:
            return {}
        try:
            # A read shares the variable's memory: none is held twice. And it is one run, for
            # TensorFlow prepares each new set of fetches at some expense.
            with fetched_tensors(self._session, [], [], [*self._values.values()]) as tensors:
                return dict(zip(self._values, map(checksum_tensor, tensors), strict=True))
        except StatusError as err:
            if err.code != _UNINITIALIZED:
                raise
        return {name: self._digest(end) for name, end in self._values.items()}

    def _digest(self, end: Endpoint) -> str:
        try:
            with fetched_tensors(self._session, [], [], [end]) as (tensor,):
                return checksum_tensor(tensor)
        except StatusError as err:
            if err.code == _UNINITIALIZED:
                return "uninitialized"
            raise

    def _find(self) -> Iterator[tuple[str, Endpoint]]:
        library = tensorflow_library()
        for operation in list(self._operations()):
            kind = library.TF_OperationOpType(operation).decode()
            name = library.TF_OperationName(operation).decode()
            if kind in _REFERENCES:
                yield name, Endpoint(operation, 0)
            elif kind == _RESOURCE:
                yield name, Endpoint(self._add_read(name, operation), 0)

    def _operations(self) -> Iterator[int]:
        position = c_size_t(0)
        while operation := tensorflow_library().TF_GraphNextOperation(self._graph, byref(position)):
            yield operation

    def _add_read(self, name: str, handle: int) -> int:
        library, dtype = tensorflow_library(), c_int()
        with Status() as status:
            library.TF_OperationGetAttrType(handle, b"dtype", byref(dtype), status.pointer)
        read = library.TF_NewOperation(self._graph, b"ReadVariableOp", f"redraw_read/{name}".encode())
        library.TF_AddInput(read, Endpoint(handle, 0))
        library.TF_SetAttrType(read, b"dtype", dtype)
        with Status() as status:
            finished: int = library.TF_FinishOperation(read, status.pointer)
        return finished
