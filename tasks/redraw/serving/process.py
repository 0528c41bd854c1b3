"""The client of the serving process: loads models in it, asks them, and survives its death."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from redraw.errors import CheckpointError
from redraw.serving.errors import NO_SANDBOX, LoadFailed, OperationsRefused, RequestRefused, SandboxMissing
from redraw.serving.graph.allowed import demand_allowed
from redraw.serving.graph.serving_graph import ServingGraph, read_meta_graphs
from redraw.serving.sandbox.enter import Sandbox
from redraw.serving.wire import normalize_array
from redraw.serving.worker_process import WorkerProcess

_logger = logging.getLogger(__name__)

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
    """TensorFlow's C++ runtime in processes of their own, one a model, as a context manager.

    The first starts when this is made, so that it is there once it is needed; a model whose process
    died is loaded again by its next use.

    Args:
        request_seconds: After so long without an answer to a request a process is ended.
        load_seconds: The same for a load, on top of the time that a slow disk takes.
        demand_sandbox: Whether a model may be loaded only if other files are out of its reach.
    """

    def __init__(
        self,
        *,
        request_seconds: float = _REQUEST_SECONDS,
        load_seconds: float = _LOAD_SECONDS,
        demand_sandbox: bool = False,
    ) -> None:
        self.request_seconds = request_seconds
        self.load_seconds = load_seconds
        self.demand_sandbox = demand_sandbox
        self._workers: list[WorkerProcess] = []
        self._spare: WorkerProcess | None = None
        self.prepare()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def prepare(self) -> None:
        """Start the process of the next model, unless it is there."""
        self._spare = self._spare or WorkerProcess()

    def take_worker(self) -> WorkerProcess:
        """A process that holds no model yet; `close` ends it at the latest."""
        worker, self._spare = self._spare or WorkerProcess(), None
        self._workers = [*(other for other in self._workers if not other.ended), worker]
        return worker

    def close(self) -> None:
        """End the processes."""
        for worker in (*self._workers, *([self._spare] if self._spare else [])):
            worker.end()

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
            SandboxMissing: A sandbox is demanded, and this machine has none.
            LoadFailed: The C++ loader refuses it.
            ServingCrashed: The process died of it.
        """
        _demand_loadable(folder, tags, declared)
        return LoadedModel(self, folder, tuple(tags))


def _demand_loadable(folder: Path, tags: Sequence[str], declared: Callable[[], Collection[str]]) -> None:
    """Look through the graph that the C++ loader would choose; what it finds none in it refuses itself."""
    for other in _OTHER_GRAPHS:
        if (folder / other).exists():
            raise OperationsRefused(f"expected the graph only in {_GRAPH}, got {other} as well")
    try:
        graphs = read_meta_graphs(folder / _GRAPH) if (folder / _GRAPH).exists() else []
    except CheckpointError as err:
        raise LoadFailed(str(err)) from err
    for graph in graphs:
        if set(graph.meta_info_def.tags) == set(tags):
            demand_allowed(ServingGraph(graph), declared)


class LoadedModel:
    """A SavedModel in a serving process; loaded again by its next use after the process died.

    Attributes:
        folder: The SavedModel.
        load_seconds: How long the C++ loader took.
        sandbox: What its process is kept in.
    """

    def __init__(self, serving: ServingProcess, folder: Path, tags: tuple[str, ...]) -> None:
        self.folder = folder
        self.load_seconds = 0.0
        self.sandbox = Sandbox()
        self._serving, self._tags = serving, tags
        self._worker = self._load()

    @property
    def pid(self) -> int:
        """The process that answers now."""
        return self._worker.pid

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

    def run(
        self, feeds: Mapping[str, np.ndarray], fetches: Sequence[str] = (), targets: Sequence[str] = ()
    ) -> dict[str, np.ndarray]:
        """Run any part of the graph: a session may be fed any tensor.

        Args:
            feeds: Tensor to values.
            fetches: The tensors that are asked for.
            targets: The operations that run as well.

        Returns:
            Tensor to values.

        Raises:
            RequestRefused: It cannot run.
            ServingCrashed: The process died of it, or did not answer in time.
        """
        asked = {"command": "run", "fetches": [*fetches], "targets": [*targets]}
        return self._ask(asked, feeds)[1]

    def digest_variables(self) -> dict[str, str]:
        """Variable name to a digest of the value that it has now.

        Raises:
            RequestRefused: A variable cannot be read.
            ServingCrashed: The process died of reading, or did not answer in time.
        """
        digests: dict[str, str] = self._ask({"command": "variables"}, {})[0]["digests"]
        return digests

    def close(self) -> None:
        """End the process, and give back its memory."""
        self._worker.end()

    def _load(self) -> WorkerProcess:
        folder, worker = self.folder.resolve(), self._serving.take_worker()
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        seconds = self._serving.load_seconds + size / _SLOWEST_DISK
        request = {
            "folder": str(folder),
            "tags": self._tags,
            "demand_sandbox": self._serving.demand_sandbox,
        }
        try:
            header, _ = worker.ask(request, {}, seconds)
        except RequestRefused as err:
            worker.end()
            raise (SandboxMissing if err.code == NO_SANDBOX else LoadFailed)(str(err)) from err
        self.load_seconds, self.sandbox = float(header["seconds"]), Sandbox(**header["sandbox"])
        if self.sandbox.missing:
            _logger.warning("%s is loaded with less than the whole %s", folder, self.sandbox)
        return worker

    def _ask(
        self, request: Mapping[str, Any], inputs: Mapping[str, np.ndarray], more_seconds: float = 0.0
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        if self._worker.ended:
            self._worker = self._load()
        arrays = {name: normalize_array(np.asarray(value)) for name, value in inputs.items()}
        return self._worker.ask(request, arrays, self._serving.request_seconds + more_seconds)
