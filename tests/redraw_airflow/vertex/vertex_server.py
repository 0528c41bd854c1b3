"""A registry of models that speaks Vertex AI's gRPC messages, as strict as the service's reference says.

Source:
    https://cloud.google.com/vertex-ai/docs/reference/rpc/google.cloud.aiplatform.v1#modelservice
    https://cloud.google.com/vertex-ai/docs/model-registry/model-alias
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from google.cloud.aiplatform_v1 import types
from google.longrunning import operations_pb2

__all__ = ["VertexServer", "serve_vertex"]

_MODEL_ID = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
_LABEL = re.compile(r"[a-z0-9_-]{0,63}")
_ALIAS = re.compile(r"-?[a-z][a-zA-Z0-9-]{0,126}[a-z0-9-]")
_PAGE = 2


class Refused(Exception):
    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class VertexServer:
    """Models and their versions, in memory.

    Attributes:
        address: Where it listens.
        uploads: How many versions were asked for.
        pending: How often it says of an upload that it is not done yet.
        refusing: What it answers every call with, instead.
    """

    def __init__(self) -> None:
        self.address = ""
        self.uploads = 0
        self.pending = 0
        self.refusing: Refused | None = None
        self._models: dict[str, list[types.Model]] = {}
        self._operations: dict[str, tuple[int, types.UploadModelResponse]] = {}
        self._lock = threading.Lock()

    def aliases(self, name: str) -> dict[str, str]:
        """Alias to the number of the version that has it."""
        return {alias: item.version_id for item in self._models[name] for alias in item.version_aliases}

    def versions(self, name: str) -> list[types.Model]:
        return self._models[name]

    def upload(self, request: types.UploadModelRequest) -> operations_pb2.Operation:
        self.uploads += 1
        model = types.Model(request.model)
        for value in (*model.labels, *model.labels.values()):
            _expect(_LABEL, value, "label")
        if not model.display_name or not model.artifact_uri.startswith("gs://"):
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "display_name and artifact_uri are required")
        name = request.parent_model or f"{request.parent}/models/{request.model_id}"
        if request.parent_model and name not in self._models:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"no model {name}")
        if not request.parent_model:
            _expect(_MODEL_ID, request.model_id, "model_id")
            if name in self._models:
                raise Refused(grpc.StatusCode.ALREADY_EXISTS, f"{name} exists")
        versions = self._models.setdefault(name, [])
        model.name, model.version_id = name, str(len(versions) + 1)
        model.version_aliases = [] if versions else ["default"]
        versions.append(model)
        operation = f"{name}/operations/{self.uploads}"
        response = types.UploadModelResponse(model=name, model_version_id=model.version_id)
        self._operations[operation] = (self.pending, response)
        return self.operation(operations_pb2.GetOperationRequest(name=operation))

    def operation(self, request: operations_pb2.GetOperationRequest) -> operations_pb2.Operation:
        pending, response = self._operations[request.name]
        answer = operations_pb2.Operation(name=request.name, done=pending == 0)
        if pending:
            self._operations[request.name] = (pending - 1, response)
        else:
            answer.response.Pack(types.UploadModelResponse.pb(response))
        return answer

    def list_versions(self, request: types.ListModelVersionsRequest) -> types.ListModelVersionsResponse:
        if request.name not in self._models:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"no model {request.name}")
        start = int(request.page_token or 0)
        found = self._models[request.name]
        token = str(start + _PAGE) if start + _PAGE < len(found) else ""
        return types.ListModelVersionsResponse(models=found[start : start + _PAGE], next_page_token=token)

    def merge_aliases(self, request: types.MergeVersionAliasesRequest) -> types.Model:
        name, _, number = request.name.partition("@")
        (chosen,) = (item for item in self._models[name] if item.version_id == number)
        for alias in request.version_aliases:
            _expect(_ALIAS, alias, "alias")
            if alias == "-default":
                raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "a model has exactly one default version")
            # "When you apply an existing alias that another version uses, it is removed from that one."
            for item in [chosen] if alias.startswith("-") else self._models[name]:
                item.version_aliases = [had for had in item.version_aliases if had != alias.removeprefix("-")]
            if not alias.startswith("-"):
                chosen.version_aliases.append(alias)
        return chosen

    def answering(self, method: Callable[[Any], Any]) -> Callable[[Any, grpc.ServicerContext], Any]:
        """A method as gRPC calls it: one at a time, and refusals by their status."""

        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            try:
                if self.refusing is not None:
                    raise self.refusing
                with self._lock:
                    return method(request)
            except Refused as err:
                context.abort(err.code, str(err))

        return answer


def _expect(pattern: re.Pattern[str], value: str, what: str) -> None:
    if not pattern.fullmatch(value):
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"{what} {value!r} does not match {pattern.pattern}")


def _handler(server: VertexServer, method: Callable[[Any], Any], request: Any) -> grpc.RpcMethodHandler:
    def serialize(answer: Any) -> bytes:
        message = type(answer).pb(answer) if hasattr(type(answer), "pb") else answer
        return bytes(message.SerializeToString())

    parse = request.deserialize if hasattr(request, "deserialize") else request.FromString
    return grpc.unary_unary_rpc_method_handler(
        server.answering(method), request_deserializer=parse, response_serializer=serialize
    )


@contextmanager
def serve_vertex() -> Iterator[VertexServer]:
    """A server on a free port of loopback, for as long as the block runs."""
    registry = VertexServer()
    models = {
        "UploadModel": _handler(registry, registry.upload, types.UploadModelRequest),
        "ListModelVersions": _handler(registry, registry.list_versions, types.ListModelVersionsRequest),
        "MergeVersionAliases": _handler(registry, registry.merge_aliases, types.MergeVersionAliasesRequest),
    }
    operations = {"GetOperation": _handler(registry, registry.operation, operations_pb2.GetOperationRequest)}
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers(
        [
            grpc.method_handlers_generic_handler("google.cloud.aiplatform.v1.ModelService", models),
            grpc.method_handlers_generic_handler("google.longrunning.Operations", operations),
        ]
    )
    registry.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield registry
    finally:
        server.stop(grace=None).wait()
