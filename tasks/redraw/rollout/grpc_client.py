"""A client for TensorFlow Serving's gRPC API, without TensorFlow.

`checkpoint.bundle.messages` declares the messages.

Source:
    https://github.com/tensorflow/serving/blob/2.19.1/tensorflow_serving/apis/model_service.proto
    https://github.com/tensorflow/serving/blob/2.19.1/tensorflow_serving/apis/prediction_service.proto
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import grpc
import numpy as np

from redraw.checkpoint.bundle.dtypes import dtype_number, name_of_array
from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.bundle.entries import decode_text
from redraw.checkpoint.bundle.messages import (
    GetModelStatusRequest,
    GetModelStatusResponse,
    PredictRequest,
    PredictResponse,
    TensorProto,
    parse_message,
)
from redraw.rollout.addresses import Server
from redraw.rollout.client import BadAnswer, Look, NotReached, Question, Target, judge_versions, short_text
from redraw.serving.tensor_proto import read_tensor_proto

_STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
_PREDICT = "/tensorflow.serving.PredictionService/Predict"
_STATES = {10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}
_MOST_STATUS = 1 << 20
# Status codes of a server that starts, restarts or is overloaded.
_PASSING = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.ABORTED,
}


class GrpcClient:
    """One address of a server."""

    def __init__(self, server: Server, address: str) -> None:
        self._server = server
        literal = f"ipv6:[{address}]" if ":" in address else f"ipv4:{address}"
        self._target = f"{literal}:{server.port}"
        host = f"[{server.host}]" if ":" in server.host else server.host
        self._authority = f"{host}:{server.port}"

    def look(self, target: Target, seconds: float) -> Look:
        """Ask which version the server has; see `Client.look`."""
        request = GetModelStatusRequest()
        request.model_spec.name = target.model.encode()
        try:
            return decode_status(target, self._call(_STATUS, request, seconds, _MOST_STATUS))
        except _NotThere as err:
            return Look(state="unknown_model", received=f"no model {target.model!r}: {err}")

    def answer(self, target: Target, question: Question, seconds: float) -> Mapping[str, np.ndarray]:
        """Send a recorded request; see `Client.answer`."""
        request = PredictRequest()
        request.model_spec.name = target.model.encode()
        request.model_spec.version.value = target.version
        request.model_spec.signature_name = question.signature.encode()
        for name, value in question.inputs.items():
            request.inputs.add(key=name.encode(), value=_encode(value))
        try:
            return decode_answer(
                target, question, self._call(_PREDICT, request, seconds, question.most_bytes)
            )
        except _NotThere as err:
            raise NotReached(f"version {target.version} is no longer loaded: {err}") from err

    def _call(self, method: str, request: Any, seconds: float, most: int) -> bytes:
        options: list[tuple[str, int | str]] = [
            ("grpc.max_receive_message_length", most),
            ("grpc.enable_http_proxy", 0),
            ("grpc.enable_retries", 0),
            # Each call has its own channel, so that earlier failures do not delay it.
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if self._server.secure:
            options += [("grpc.ssl_target_name_override", self._server.host)]
            channel = grpc.secure_channel(self._target, grpc.ssl_channel_credentials(), options)
        else:
            # A proxy of several hosts needs the name, not the address.
            options += [("grpc.default_authority", self._authority)]
            channel = grpc.insecure_channel(self._target, options)
        with channel:
            try:
                call = channel.unary_unary(method)
                return bytes(call(request.SerializeToString(), timeout=seconds))
            except grpc.RpcError as err:
                raise _failure(err, seconds, most) from err


class _NotThere(Exception):
    """The server knows no such model or version."""


def _failure(err: grpc.RpcError, seconds: float, most: int) -> Exception:
    code, details = err.code(), short_text(err.details() or "no reason")
    if code == grpc.StatusCode.NOT_FOUND:
        return _NotThere(details)
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return NotReached(f"no answer within {seconds:.3g} s")
    if code in _PASSING:
        return NotReached(details)
    limit = f" of at most {most} bytes" if code == grpc.StatusCode.RESOURCE_EXHAUSTED else ""
    return BadAnswer(f"{code.name} instead of an answer{limit}: {details}")


def _encode(value: np.ndarray) -> bytes:
    """An array as a serialized `TensorProto`."""
    tensor = TensorProto(dtype=dtype_number(name_of_array(value) or ""))
    for size in value.shape:
        tensor.tensor_shape.dim.add(size=size)
    if value.dtype.kind == "O":
        tensor.string_val.extend(value.flat)
    else:
        tensor.tensor_content = np.ascontiguousarray(value).tobytes()
    return bytes(tensor.SerializeToString())


def decode_status(target: Target, content: bytes) -> Look:
    """The report on the version in a serialized `GetModelStatusResponse`; raises `BadAnswer`."""
    states = {
        status.version: (_STATES.get(status.state, ""), decode_text(status.status.error_message))
        for status in _parse(GetModelStatusResponse, content).model_version_status
        if status.version > 0
    }
    return judge_versions(target.version, states)


def decode_answer(target: Target, question: Question, content: bytes) -> dict[str, np.ndarray]:
    """The recorded outputs in a serialized `PredictResponse`; raises `BadAnswer`."""
    response = _parse(PredictResponse, content)
    answered = response.model_spec.version.value
    if answered and answered != target.version:
        raise BadAnswer(f"an answer of version {answered}")
    outputs = {decode_text(entry.key): entry.value for entry in response.outputs}
    if lacking := sorted(set(question.specs) - set(outputs)):
        raise BadAnswer(f"an answer without the output {lacking[0]!r}")
    values = {}
    for name, spec in question.specs.items():
        try:
            most = math.prod(max(size, 1) for size in question.outputs[name].shape)
            value = read_tensor_proto(outputs[name], most)
        except MalformedError as err:
            raise BadAnswer(f"output {name!r}: {short_text(err)}") from err
        if name_of_array(value) != spec.dtype:
            raise BadAnswer(f"output {name!r}: {name_of_array(value)} instead of {spec.dtype}")
        values[name] = value
    return values


def _parse(message: Any, content: bytes) -> Any:
    try:
        return parse_message(message, content)
    except MalformedError as err:
        raise BadAnswer(short_text(err)) from err
