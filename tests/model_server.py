"""Model servers for tests: TensorFlow Serving's gRPC and REST, KServe and Vertex AI, in one process.

The messages are those of `tensorflow-serving-api`, and so is the wire. The process is one of its own: its
protocol buffers are TensorFlow's, of which it imports nothing else, so that it is up within a second.

    with running_servers() as servers:
        server = servers.start(versions={"7": "AVAILABLE"}, outputs={"digit": [1]}, dtypes={"digit": "int64"})
        server.set(fault="hang")
"""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
import time
import types
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

__all__ = ["ModelServer", "ModelServers", "running_servers"]

ROOT = Path(__file__).parents[1]


class ModelServer:
    """One server: `grpc://…`, `http://…`; `set` changes what it does from the next request on."""

    def __init__(self, servers: ModelServers, host: str, started: dict[str, Any]) -> None:
        self._servers, self._number = servers, started["number"]
        self.grpc_port, self.rest_port = started["grpc"], started["rest"]
        self.grpc, self.rest = f"grpc://{host}:{self.grpc_port}", f"http://{host}:{self.rest_port}"
        self.kserve = f"kserve+{self.rest}"
        self.authority = f"{host}:{self.rest_port}"

    def set(self, **state: Any) -> None:
        """Change its state: `State` says what there is."""
        self._servers.ask({"do": "set", "number": self._number, "state": state})

    @property
    def requests(self) -> list[dict[str, Any]]:
        """What it was asked: the protocol's method or path, the headers, and the model's name."""
        return self._servers.ask({"do": "requests", "number": self._number})["requests"]

    @property
    def ready_at(self) -> float | None:
        """When the version with `ready_after` became available, by this machine's monotonic clock."""
        return self._servers.ask({"do": "ready", "number": self._number})["ready_at"]


class ModelServers:
    """The process; every call waits for its acknowledgement."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(self, host: str = "127.0.0.1", ports: tuple[int, int] = (0, 0), **state: Any) -> ModelServer:
        """Start a server at an address, an IPv6 address in brackets."""
        return ModelServer(
            self, host, self.ask({"do": "start", "host": host, "ports": ports, "state": state})
        )

    def ask(self, command: dict[str, Any]) -> Any:
        """Send a command, and read its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(command), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        assert line, "the model servers' process ended"
        return json.loads(line)


@contextmanager
def running_servers() -> Iterator[ModelServers]:
    """The process, until the block ends."""
    command = [sys.executable, "-m", "tests.model_server"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as process:  # type: ignore[call-overload]
        yield ModelServers(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


class State:
    """What a server does.

    Attributes:
        model: The model's name there.
        versions: Version to `LOADING`, `AVAILABLE`, `END` and so on.
        error: Why a version that is at its end failed.
        ready_after: After so many seconds versions that load are available.
        outputs: Output name to values.
        dtypes: Output name to dtype.
        fault: `hang`, `hang_answer`, `crash`, `huge`, `redirect`, `garbage`, `drip`, or none.
        kserve: Whether it speaks KServe's version 2, `v2`, or 1, `v1`.
        labels: Registered version of Vertex AI to its labels; all are deployed.
        traffic: Registered version to its share.
        status: The HTTP status of all answers.
    """

    def __init__(self) -> None:
        self.model = "digits"
        self.versions: dict[str, str] = {}
        self.error = ""
        self.ready_after: float | None = None
        self.outputs: dict[str, Any] = {}
        self.dtypes: dict[str, str] = {}
        self.fault = ""
        self.kserve = ""
        self.names_versions = True
        self.labels: dict[str, dict[str, str]] = {}
        self.traffic: dict[str, int] = {}
        self.status = 200
        self.requests: list[dict[str, Any]] = []
        self.began = time.monotonic()

    def change(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            assert hasattr(self, name), name
            setattr(self, name, value)
        self.began = time.monotonic()

    @property
    def ready_at(self) -> float | None:
        return None if self.ready_after is None else self.began + self.ready_after

    def states(self) -> dict[int, str]:
        ready = self.ready_at is not None and time.monotonic() >= self.ready_at
        return {
            int(version): "AVAILABLE" if ready and state == "LOADING" else state
            for version, state in self.versions.items()
        }


def _serve() -> None:
    # Of TensorFlow's package only the generated modules are needed, and it takes ten seconds to import.
    spec = importlib.util.find_spec("tensorflow")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    package = types.ModuleType("tensorflow")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["tensorflow"] = package
    servers: list[_Server] = []
    for line in sys.stdin:
        command = json.loads(line)
        answer: dict[str, Any] = {}
        if command["do"] == "start":
            servers.append(_Server(command["host"], command["ports"], command["state"]))
            answer = {
                "number": len(servers) - 1,
                "grpc": servers[-1].grpc_port,
                "rest": servers[-1].rest_port,
            }
        else:
            state = servers[command["number"]].state
            if command["do"] == "set":
                state.change(command["state"])
            answer = {"requests": state.requests, "ready_at": state.ready_at}
        print(json.dumps(answer), flush=True)
    os._exit(0)


class _HttpServer(ThreadingHTTPServer):
    def __init__(self, address: tuple[str, int], handler: Any) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)


class _Server:
    def __init__(self, host: str, ports: tuple[int, int], state: dict[str, Any]) -> None:
        import grpc
        from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

        self.state = State()
        self.state.change(state)
        self.grpc = grpc.server(ThreadPoolExecutor(32), options=[("grpc.so_reuseport", 0)])
        servicer = _servicer(self)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(servicer, self.grpc)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(servicer, self.grpc)
        self.grpc_port = self.grpc.add_insecure_port(f"{host}:{ports[0]}")
        self.grpc.start()
        self.rest = _HttpServer((host.strip("[]"), ports[1]), _handler(self))
        self.rest.daemon_threads = True
        self.rest_port = self.rest.server_address[1]
        threading.Thread(target=self.rest.serve_forever, args=(0.01,), daemon=True).start()

    def crash(self) -> None:
        """Gone from one moment to the next."""
        self.grpc.stop(0)
        self.rest.shutdown()
        self.rest.socket.close()


def _servicer(server: _Server) -> Any:  # noqa: C901 - a protocol and its faults
    import grpc
    import ml_dtypes  # noqa: F401 - with it NumPy knows its dtypes by name
    import numpy as np
    from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
    from tensorflow_serving.apis import (
        get_model_status_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_service_pb2_grpc,
    )

    state = server.state

    def hang(context: Any) -> None:
        cancelled = threading.Event()
        if context.add_callback(cancelled.set):
            cancelled.wait(60)
        context.abort(grpc.StatusCode.CANCELLED, "hung")

    def note(method: str, request: Any, context: Any) -> None:
        headers = {key: str(value) for key, value in context.invocation_metadata()}
        spec = request.model_spec
        named = {"model": spec.name, "version": spec.version.value, "signature": spec.signature_name}
        authority = context._rpc_event.call_details.host.decode()  # gRPC's public classes do not say it
        state.requests.append({"method": method, "headers": headers, "authority": authority, **named})

    def tensor(values: Any, dtype: str) -> Any:
        number = types_pb2.DataType.Value(f"DT_{dtype.upper().replace('FLOAT32', 'FLOAT')}")
        if dtype == "string":
            array = np.array(values, dtype=object)
            content = {"string_val": [str(one).encode() for one in array.flat]}
        else:
            array = np.array(values, dtype=dtype)
            content = {"tensor_content": array.tobytes()}
        dims = [tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in array.shape]
        shape = tensor_shape_pb2.TensorShapeProto(dim=dims)
        return tensor_pb2.TensorProto(dtype=number, tensor_shape=shape, **content)

    class Servicer(
        model_service_pb2_grpc.ModelServiceServicer, prediction_service_pb2_grpc.PredictionServiceServicer
    ):
        def GetModelStatus(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's
            note("GetModelStatus", request, context)
            if state.fault == "hang":
                hang(context)
            if request.model_spec.name != state.model:
                message = f"Could not find any versions of model {request.model_spec.name}"
                context.abort(grpc.StatusCode.NOT_FOUND, message)
            if state.fault == "huge_status":
                context.abort(grpc.StatusCode.INTERNAL, "\x1b[31m" + "ä" * 5000)
            response = get_model_status_pb2.GetModelStatusResponse()
            for version, name in state.states().items():
                status = response.model_version_status.add(version=version)
                status.state = get_model_status_pb2.ModelVersionStatus.State.Value(name)
                if name == "END" and state.error:
                    status.status.error_code = 3
                    status.status.error_message = state.error
            return response

        def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's
            note("Predict", request, context)
            state.requests[-1]["inputs"] = {
                name: [dim.size for dim in value.tensor_shape.dim] for name, value in request.inputs.items()
            }
            if state.fault == "crash":
                threading.Thread(target=server.crash, daemon=True).start()
                hang(context)
            if state.fault in {"hang", "hang_answer"}:
                hang(context)
            if state.fault == "refuse":
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "input size does not match signature")
            response = predict_pb2.PredictResponse()
            response.model_spec.CopyFrom(request.model_spec)
            for name, values in state.outputs.items():
                response.outputs[name].CopyFrom(tensor(values, state.dtypes[name]))
            if state.fault == "huge":
                response.outputs["padding"].CopyFrom(tensor([0.0] * 500_000, "float32"))
            return response

    return Servicer()


def _handler(server: _Server) -> type[BaseHTTPRequestHandler]:  # noqa: C901 - as above
    state = server.state

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Nothing."""

        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body: Any) -> None:
            state.requests.append({"method": self.path, "headers": dict(self.headers), "body": body})
            asks = body is not None
            if state.fault == "crash" and asks:
                threading.Thread(target=server.crash, daemon=True).start()
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            if state.fault == "hang" or (state.fault == "hang_answer" and asks):
                self.connection.recv(1)  # until the client goes
                self.close_connection = True
                return
            if state.fault == "drip":
                self._drip()
                return
            if state.fault == "redirect":
                self._send(307, {}, {"Location": "http://169.254.169.254/latest"})
                return
            if state.fault == "garbage":
                self._send(200, "[" * 5000)
                return
            if state.fault == "huge" and asks:
                self._send(200, {"outputs": "x" * 3_000_000})
                return
            found = self._found(asks)
            self._send(state.status if found is not None else 404, found or {"error": "not found"})

        def _drip(self) -> None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            pause = threading.Event()
            try:
                while True:
                    self.wfile.write(b"X-More: 1\r\n")
                    pause.wait(0.02)
            except OSError:
                self.close_connection = True

        def _found(self, asks: bool) -> Any:
            path = self.path.removesuffix("/")
            v1, v2 = f"/v1/models/{state.model}", f"/v2/models/{state.model}"
            if path.startswith("/v1/projects/"):
                return self._vertex(path, asks)
            if state.kserve != "v1" and path.startswith(v2) and state.kserve:
                return self._v2(path.removeprefix(v2))
            if not path.startswith(v1) or path.startswith("/v2"):
                return None
            if asks:
                return {"outputs": self._outputs()}
            if state.kserve == "v1":
                return {"name": state.model, "ready": str("AVAILABLE" in state.states().values())}
            return {"model_version_status": [self._status(*one) for one in state.states().items()]}

        def _outputs(self) -> Any:
            return next(iter(state.outputs.values())) if len(state.outputs) == 1 else state.outputs

        def _status(self, version: int, name: str) -> Any:
            error = state.error if name == "END" else ""
            status = {"error_code": "INVALID_ARGUMENT" if error else "OK", "error_message": error}
            return {"version": str(version), "state": name, "status": status}

        def _v2(self, rest: str) -> Any:
            if rest.endswith("/infer"):
                outputs = [
                    {"name": name, "shape": [len(values)], "datatype": "INT64", "data": values}
                    for name, values in state.outputs.items()
                ]
                return {"model_name": state.model, "outputs": outputs}
            ready = [str(version) for version, name in state.states().items() if name == "AVAILABLE"]
            if rest.endswith("/ready"):
                return {"name": state.model, "ready": bool(ready)}
            return {"name": state.model, "versions": ready if state.names_versions else []}

        def _vertex(self, path: str, asks: bool) -> Any:
            place, _, end = path.partition("/endpoints/")
            if asks:
                return {"outputs": self._outputs()} if path.endswith(":rawPredict") else None
            if end:
                deployed = [
                    {"id": f"d{number}", "model": f"{place[4:]}/models/99", "modelVersionId": number}
                    for number in state.labels
                ]
                split = {f"d{number}": share for number, share in state.traffic.items()}
                return {"name": path[4:], "deployedModels": deployed, "trafficSplit": split}
            return {"name": path[4:], "labels": state.labels.get(path.partition("@")[2])}

        def _send(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
            content = value.encode() if isinstance(value, str) else json.dumps(value).encode()
            self.send_response(status)
            for name, text in {"Content-Length": str(len(content)), **(headers or {})}.items():
                self.send_header(name, text)
            self.end_headers()
            try:
                self.wfile.write(content)
            except OSError:
                self.close_connection = True

    return Handler


if __name__ == "__main__":
    _serve()
