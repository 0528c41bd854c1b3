"""The client of the serving process: loads models in it, asks them, and survives its death."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from redraw.errors import CheckpointError
from redraw.serving.errors import LoadFailed, OperationsRefused, RequestRefused, ServingCrashed
from redraw.serving.graph.allowed import demand_allowed
from redraw.serving.graph.serving_graph import ServingGraph, read_meta_graphs
from redraw.serving.wire import normalize_array
from redraw.serving.worker_process import WorkerProcess

__all__ = ["Latency", "LoadedModel", "ServingProcess"]

_REQUEST_SECONDS = 60.0
_LOAD_SECONDS = 120.0
_SLOWEST_DISK = 20e6  # bytes a second
# What the loader reads, and what it would read instead.
_GRAPH = "saved_model.pb"
_OTHER_GRAPHS = ("saved_model.pbtxt", "saved_model.cpb")


@dataclass(frozen=True, kw_only=True)
class Latency:
    """How fast a model answers one request after the other.

    Attributes:
        p50_ms: Half of the requests are answered within this, in milliseconds.
        p95_ms: 95 of 100 are.
        p99_ms: 99 of 100 are.
        requests_per_second: In the time that the requests took.
        rows_per_second: The same, times the rows of a request.
        requests: How many were asked.
    """

    p50_ms: float
    p95_ms: float
    p99_ms: float
    requests_per_second: float
    rows_per_second: float
    requests: int


class ServingProcess:
    """TensorFlow's C++ runtime in a process of its own, as a context manager.

    It starts when it is made, holds any number of models, and is started again after it died.

    Args:
        request_seconds: After so long without an answer to a request it is ended.
        load_seconds: The same for a load, on top of the time that a slow disk takes.
    """

    def __init__(
        self, *, request_seconds: float = _REQUEST_SECONDS, load_seconds: float = _LOAD_SECONDS
    ) -> None:
        self.request_seconds = request_seconds
        self.load_seconds = load_seconds
        self._ids = itertools.count(1)
        self.worker = WorkerProcess()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The process that answers now."""
        return self.worker.pid

    def close(self) -> None:
        """End the process."""
        self.worker.end()

    def load(
        self,
        folder: Path,
        tags: Sequence[str] = ("serve",),
        declared: Callable[[], Collection[str]] = tuple,
    ) -> LoadedModel:
        """Load a SavedModel as a server does, if its operations are allowed.

        Args:
            folder: It.
            tags: Which of its graphs.
            declared: Operations that its definition declares in `stateful_ops`; called if there are
                some that have to be declared.

        Raises:
            OperationsRefused: It holds operations that no model may hold.
            LoadFailed: The C++ loader refuses it.
            ServingCrashed: The process died of it.
        """
        _demand_loadable(folder, tags, declared)
        return LoadedModel(self, folder, tuple(tags), next(self._ids))


def _demand_loadable(folder: Path, tags: Sequence[str], declared: Callable[[], Collection[str]]) -> None:
    """Look through the graph that the C++ loader would choose; what it finds none in it refuses itself."""
    for other in _OTHER_GRAPHS:
        if (folder / other).exists():
            raise OperationsRefused(f"expected the graph in {_GRAPH} alone, got {other} as well")
    try:
        graphs = read_meta_graphs(folder / _GRAPH) if (folder / _GRAPH).exists() else []
    except CheckpointError as err:
        raise LoadFailed(str(err)) from err
    for graph in graphs:
        if set(graph.meta_info_def.tags) == set(tags):
            demand_allowed(ServingGraph(graph), declared)


class LoadedModel:
    """A SavedModel in the serving process; loaded again by its next use after the process died.

    Attributes:
        folder: The SavedModel.
        load_seconds: How long the C++ loader took.
    """

    def __init__(self, serving: ServingProcess, folder: Path, tags: tuple[str, ...], number: int) -> None:
        self.folder = folder
        self.load_seconds = 0.0
        self._serving, self._tags, self._number = serving, tags, number
        self._loaded_in: int | None = None
        self._load()

    def answer(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Ask for one answer; the inputs need not fit the signature.

        Args:
            signature: Its name.
            inputs: Input name to values; strings as an object array of bytes.

        Returns:
            Output name to values.

        Raises:
            RequestRefused: The answer is an error.
            ServingCrashed: The process died of the request, or did not answer in time.
        """
        return self._ask({"command": "answer", "signature": signature}, inputs)[1]

    def measure(self, signature: str, inputs: Mapping[str, np.ndarray], seconds: float) -> Latency:
        """Ask the same request over and over, one at a time.

        Args:
            signature: Its name.
            inputs: Input name to values, shape [batch, …].
            seconds: How long.

        Returns:
            How fast it was, without what passing tensors between the processes takes.

        Raises:
            RequestRefused: The answer is an error.
            ServingCrashed: The process died of the request, or did not answer in time.
        """
        request = {"command": "measure", "signature": signature, "seconds": seconds}
        took = np.array(self._ask(request, inputs, more_seconds=seconds)[0]["took"])
        rows = max((len(value) for value in inputs.values() if value.ndim), default=1)
        return Latency(
            p50_ms=float(np.percentile(took, 50) * 1e3),
            p95_ms=float(np.percentile(took, 95) * 1e3),
            p99_ms=float(np.percentile(took, 99) * 1e3),
            requests_per_second=float(len(took) / took.sum()),
            rows_per_second=float(rows * len(took) / took.sum()),
            requests=len(took),
        )

    def digest_variables(self) -> dict[str, str]:
        """Variable name to a digest of the value that it has now.

        Raises:
            RequestRefused: A variable cannot be read.
            ServingCrashed: The process died of reading, or did not answer in time.
        """
        digests: dict[str, str] = self._ask({"command": "variables"}, {})[0]["digests"]
        return digests

    def close(self) -> None:
        """Give back the model's memory."""
        if self._loaded_in == self._serving.worker.generation:
            with suppress(ServingCrashed):  # its memory is gone then
                self._ask({"command": "close"}, {})
        self._loaded_in = None

    def _load(self) -> None:
        folder = self.folder.absolute()
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        seconds = self._serving.load_seconds + size / _SLOWEST_DISK
        request = {"command": "load", "folder": str(folder), "tags": self._tags, "model": self._number}
        try:
            header, _ = self._serving.worker.ask(request, {}, seconds)
        except RequestRefused as err:
            raise LoadFailed(str(err)) from err
        self.load_seconds = float(header["seconds"])
        self._loaded_in = self._serving.worker.generation

    def _ask(
        self, request: Mapping[str, Any], inputs: Mapping[str, np.ndarray], more_seconds: float = 0.0
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        self._serving.worker.wake()
        if self._loaded_in != self._serving.worker.generation:
            self._load()
        arrays = {name: normalize_array(np.asarray(value)) for name, value in inputs.items()}
        seconds = self._serving.request_seconds + more_seconds
        return self._serving.worker.ask({**request, "model": self._number}, arrays, seconds)
