"""Load, ask and measure one SavedModel in a session of TensorFlow's C++ runtime."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator, Mapping, Sequence
from ctypes import byref, c_char_p, c_int, c_size_t

import numpy as np

from redraw.serving.library import Buffer, Endpoint, Status, StatusError, tensorflow_library
from redraw.serving.tensors import checksum_tensor, fetched_tensors, read_tensor, written_tensors

_Tensors = Mapping[str, str]  # input or output name to the tensor in the graph
# A TF1 reference variable is its own value; a resource variable needs an operation that reads it.
_REFERENCES = ("Variable", "VariableV2")
_RESOURCE = "VarHandleOp"
_UNINITIALIZED = "FAILED_PRECONDITION"


class ModelSession:
    """A loaded SavedModel.

    Args:
        folder: The SavedModel.
        tags: The tags of the graph to load.

    Raises:
        StatusError: The loader refuses it.
    """

    def __init__(self, folder: str, tags: Sequence[str]) -> None:
        library = self._library = tensorflow_library()
        self._graph = library.TF_NewGraph()
        options, meta_graph = library.TF_NewSessionOptions(), library.TF_NewBuffer()
        names = (c_char_p * len(tags))(*(tag.encode() for tag in tags))
        try:
            with Status() as status:
                self._session = library.TF_LoadSessionFromSavedModel(
                    options,
                    None,
                    folder.encode(),
                    names,
                    len(tags),
                    self._graph,
                    meta_graph,
                    status.pointer,
                )
            self._signatures = _read_signatures(meta_graph)
        finally:
            library.TF_DeleteSessionOptions(options)
            library.TF_DeleteBuffer(meta_graph)
        self._variables: _VariableReader | None = None

    def answer(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Answer one request.

        Args:
            signature: The name of the signature.
            inputs: Input name to values.

        Returns:
            Output name to values.

        Raises:
            StatusError: There is no such signature, the inputs do not match it, or the
                model refuses their values.
        """
        feeds, fetches = self._ends(signature, inputs)
        with (
            written_tensors(inputs[name] for name in feeds) as tensors,
            fetched_tensors(self._session, [*feeds.values()], tensors, [*fetches.values()]) as answers,
        ):
            return {name: read_tensor(tensor) for name, tensor in zip(fetches, answers, strict=True)}

    def measure(self, signature: str, inputs: Mapping[str, np.ndarray], seconds: float) -> list[float]:
        """Answer the same request repeatedly.

        Args:
            signature: The name of the signature.
            inputs: Input name to values.
            seconds: How long to repeat it; at least twice.

        Returns:
            The seconds that each request took, without copying to and from NumPy.

        Raises:
            StatusError: The model refuses the request.
        """
        feeds, fetches = self._ends(signature, inputs)
        ends, took = ([*feeds.values()], [*fetches.values()]), list[float]()
        with written_tensors(inputs[name] for name in feeds) as tensors:
            with fetched_tensors(self._session, ends[0], tensors, ends[1]):
                last = time.monotonic() + seconds  # the first run prepares the later ones
            while not took or time.monotonic() < last:
                started = time.perf_counter()
                with fetched_tensors(self._session, ends[0], tensors, ends[1]):
                    took.append(time.perf_counter() - started)
        return took

    def run(
        self, feeds: Mapping[str, np.ndarray], fetches: Sequence[str], targets: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Run any part of the graph.

        Args:
            feeds: Any tensor to values.
            fetches: The tensors to return.
            targets: The operations to run in addition.

        Returns:
            Tensor to values.

        Raises:
            StatusError: There is no such tensor or operation, or it cannot run.
        """
        ends = ([self._end(name) for name in feeds], [self._end(name) for name in fetches])
        operations = [self._operation(name) for name in targets]
        with (
            written_tensors(feeds.values()) as tensors,
            fetched_tensors(self._session, ends[0], tensors, ends[1], operations) as answers,
        ):
            return {name: read_tensor(tensor) for name, tensor in zip(fetches, answers, strict=True)}

    def digest_variables(self) -> dict[str, str]:
        """Variable name to a digest of its current value."""
        if self._variables is None:
            self._variables = _VariableReader(self._graph, self._session)
        return self._variables.digest()

    def _ends(
        self, signature: str, inputs: Mapping[str, np.ndarray]
    ) -> tuple[dict[str, Endpoint], dict[str, Endpoint]]:
        if signature not in self._signatures:
            listed = ", ".join(sorted(self._signatures)) or "none"
            raise StatusError("INVALID_ARGUMENT", f"no signature {signature!r}; the model has: {listed}")
        feeds, fetches = self._signatures[signature]
        if set(inputs) != set(feeds):
            expected, got = ", ".join(sorted(feeds)), ", ".join(sorted(inputs)) or "none"
            raise StatusError("INVALID_ARGUMENT", f"expected the inputs {expected}, got {got}")
        return (
            {name: self._end(tensor) for name, tensor in sorted(feeds.items())},
            {name: self._end(tensor) for name, tensor in sorted(fetches.items())},
        )

    def _end(self, tensor: str) -> Endpoint:
        name, _, index = tensor.partition(":")
        operation = self._operation(name)
        number = int(index) if index.isdigit() else 0
        if number >= self._library.TF_OperationNumOutputs(operation):
            raise StatusError("INVALID_ARGUMENT", f"the graph has no tensor {tensor!r}")
        return Endpoint(operation, number)

    def _operation(self, name: str) -> int:
        operation: int = self._library.TF_GraphOperationByName(self._graph, name.encode())
        if not operation:
            raise StatusError("INVALID_ARGUMENT", f"the graph has no operation {name!r}")
        return operation


def _read_signatures(meta_graph: int) -> dict[str, tuple[_Tensors, _Tensors]]:
    from tensorboard.compat.proto.meta_graph_pb2 import MetaGraphDef

    buffer = ctypes.cast(meta_graph, ctypes.POINTER(Buffer)).contents
    parsed = MetaGraphDef.FromString(ctypes.string_at(buffer.data, buffer.length))
    return {
        name: (
            {key: info.name for key, info in signature.inputs.items()},
            {key: info.name for key, info in signature.outputs.items()},
        )
        for name, signature in parsed.signature_def.items()
    }


class _VariableReader:
    """Reads all variables of a `TF_Graph` in a `TF_Session`; adds an operation for each resource variable."""

    def __init__(self, graph: int, session: int) -> None:
        self._graph, self._session = graph, session
        self._values = dict(sorted(self._find()))

    def digest(self) -> dict[str, str]:
        """Variable name to a digest of its value; "uninitialized" if it has none.

        Raises:
            StatusError: A variable cannot be read.
        """
        if not self._values:
            return {}
        try:
            # A read shares the variable's memory. All are read in one run, because TensorFlow prepares
            # each new set of fetches, which takes time.
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
