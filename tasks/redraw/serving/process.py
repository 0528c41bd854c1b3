"""The client of the serving process: loads models, asks them, and restarts the process after a crash."""

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
# The file that the loader must read, and files that it might read instead.
_GRAPH = "saved_model.pb"
_OTHER_GRAPHS = ("saved_model.pbtxt", "saved_model.cpb")


@dataclass(frozen=True, kw_only=True)
class Latency:
    """How fast a model answers requests, one after another.

    Attributes:
        p50_ms: The median time of an answer in milliseconds.
        p95_ms: The 95th percentile in milliseconds.
        p99_ms: The 99th percentile in milliseconds.
        requests_per_second: Requests for each second that they took.
        rows_per_second: The same for rows.
        requests: The number of requests.
    """

    p50_ms: float
    p95_ms: float
    p99_ms: float
    requests_per_second: float
    rows_per_second: float
    requests: int


class ServingProcess:
    """TensorFlow's C++ runtime in processes of their own, one for each model; a context manager.

    It starts the first process immediately, so that it is ready when it is needed. A model whose process
    crashed is loaded again when it is next used.

    Args:
        request_seconds: The timeout of a request in seconds; then the process is ended.
        load_seconds: The timeout of a load in seconds, in addition to the time that a slow disk takes.
        demand_sandbox: Whether a model is loaded only if it cannot read other files.
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
        """Start the process for the next model, unless it is running already."""
        self._spare = self._spare or WorkerProcess()

    def take_worker(self) -> WorkerProcess:
        """A process without a model; `close` ends it at the latest."""
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
        """Load a SavedModel like a server, if its operations are allowed.

        Args:
            folder: The SavedModel.
            tags: The tags of the graph to load.
            declared: Returns the `stateful_ops` of its definition; called only if the graph has operations
                that must be declared.

        Raises:
            OperationsRefused: It has operations that are not allowed.
            SandboxMissing: A sandbox is demanded, and this machine has none.
            LoadFailed: The C++ loader refuses it.
            ServingCrashed: The process crashed while it loaded.
        """
        _demand_loadable(folder, tags, declared)
        return LoadedModel(self, folder, tuple(tags))


def _demand_loadable(folder: Path, tags: Sequence[str], declared: Callable[[], Collection[str]]) -> None:
    """Check the graph that the C++ loader would choose; if there is none, the loader refuses by itself."""
    for other in _OTHER_GRAPHS:
        if (folder / other).exists():
            raise OperationsRefused(f"expected only {_GRAPH}, got {other} too. Remove {other}")
    try:
        graphs = read_meta_graphs(folder / _GRAPH) if (folder / _GRAPH).exists() else []
    except CheckpointError as err:
        raise LoadFailed(str(err)) from err
    for graph in graphs:
        if set(graph.meta_info_def.tags) == set(tags):
            demand_allowed(ServingGraph(graph), declared)


class LoadedModel:
    """A SavedModel in a serving process; if the process crashed, the next use loads it again.

    Attributes:
        folder: The SavedModel.
        load_seconds: The time of loading in seconds.
        sandbox: The sandbox of its process.
    """

    def __init__(self, serving: ServingProcess, folder: Path, tags: tuple[str, ...]) -> None:
        self.folder = folder
        self.load_seconds = 0.0
        self.sandbox = Sandbox()
        self._serving, self._tags = serving, tags
        self._worker = self._load()

    @property
    def pid(self) -> int:
        """The id of the process that answers now."""
        return self._worker.pid

    def answer(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Send one request; the inputs need not fit the signature.

        Args:
            signature: The name of the signature.
            inputs: Input name to values; strings as an object array of bytes.

        Returns:
            Output name to values.

        Raises:
            RequestRefused: The answer is an error.
            ServingCrashed: The process crashed, or did not answer in time.
        """
        return self._ask({"command": "answer", "signature": signature}, inputs)[1]

    def measure(self, signature: str, inputs: Mapping[str, np.ndarray], seconds: float) -> Latency:
        """Send the same request repeatedly, one at a time.

        Args:
            signature: The name of the signature.
            inputs: Input name to values, shape [batch, …].
            seconds: How long to repeat it.

        Returns:
            The latency, without the time to pass tensors between the processes.

        Raises:
            RequestRefused: The answer is an error.
            ServingCrashed: The process crashed, or did not answer in time.
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
        """Run any part of the graph: any tensor may be fed.

        Args:
            feeds: Tensor to values.
            fetches: The tensors to return.
            targets: The operations to run in addition.

        Returns:
            Tensor to values.

        Raises:
            RequestRefused: It cannot run.
            ServingCrashed: The process crashed, or did not answer in time.
        """
        request = {"command": "run", "fetches": [*fetches], "targets": [*targets]}
        return self._ask(request, feeds)[1]

    def digest_variables(self) -> dict[str, str]:
        """Variable name to a digest of its current value.

        Raises:
            RequestRefused: A variable cannot be read.
            ServingCrashed: The process crashed, or did not answer in time.
        """
        digests: dict[str, str] = self._ask({"command": "variables"}, {})[0]["digests"]
        return digests

    def close(self) -> None:
        """End the process, which frees its memory."""
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
            _logger.warning("%s is loaded in an incomplete %s", folder, self.sandbox)
        return worker

    def _ask(
        self, request: Mapping[str, Any], inputs: Mapping[str, np.ndarray], more_seconds: float = 0.0
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        if self._worker.ended:
            self._worker = self._load()
        arrays = {name: normalize_array(np.asarray(value)) for name, value in inputs.items()}
        return self._worker.ask(request, arrays, self._serving.request_seconds + more_seconds)
