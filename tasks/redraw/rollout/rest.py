"""Clients for the REST APIs of TensorFlow Serving and of KServe, whose predictor is TensorFlow Serving.

Source:
    https://www.tensorflow.org/tfx/serving/api_rest
    https://kserve.github.io/website/docs/concepts/architecture/data-plane/v1-protocol
    https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import numpy as np

from redraw.checkpoint.bundle.dtypes import name_of_array
from redraw.errors import InvalidRequest
from redraw.rollout.addresses import Server
from redraw.rollout.client import BadAnswer, Look, NotReached, Question, Target, judge_versions, short_text
from redraw.rollout.http import HttpAddress, Reply, ask_http, error_of
from redraw.serving.values import decode_tensor, encode_values

_FOUND, _UNKNOWN = 200, 404
_DEFAULT_SIGNATURE = "serving_default"
_LONGEST_VERSION = 17
_MOST_ROWS = 1 << 20
# KServe's names of dtypes that are not TensorFlow's names in capitals.
_DATATYPES = {"float16": "FP16", "float32": "FP32", "float64": "FP64", "bfloat16": "BF16", "string": "BYTES"}


class RestClient:
    """One address of a TensorFlow Serving."""

    def __init__(self, server: Server, address: str) -> None:
        self._where = HttpAddress(host=server.host, port=server.port, address=address, secure=server.secure)

    def look(self, target: Target, seconds: float) -> Look:
        """Ask which version the server has; see `Client.look`."""
        reply = ask_http(self._where, f"/v1/models/{quote(target.model)}", seconds=seconds)
        if reply.status == _UNKNOWN:
            return _unknown(target, reply)
        return judge_versions(target.version, dict(decode_states(reply)))

    def answer(self, target: Target, question: Question, seconds: float) -> Mapping[str, np.ndarray] | None:
        """Send a recorded request to this version; see `Client.answer`."""
        path = f"/v1/models/{quote(target.model)}/versions/{target.version}:predict"
        return self._predict(path, question, seconds)

    def _predict(self, path: str, question: Question, seconds: float) -> dict[str, np.ndarray] | None:
        if not _has_json(question):
            return None
        reply = ask_http(self._where, path, seconds=seconds, body=columns(question), most=question.most_bytes)
        if reply.status == _UNKNOWN:
            raise NotReached(f"HTTP status {_UNKNOWN}: {error_of(reply)}")
        return decode_columns(question, reply)


class KServeClient(RestClient):
    """A model behind KServe, with version 2 of its protocol, or version 1 if the server has only that.

    Neither must report the served version; without it, only the recorded answers tell.
    """

    _v2 = True

    def look(self, target: Target, seconds: float) -> Look:
        """Ask whether the model is ready, and in which version; see `Client.look`."""
        path = f"/v2/models/{quote(target.model)}"
        reply = ask_http(self._where, path, seconds=seconds)
        self._v2 = reply.status != _UNKNOWN
        if not self._v2:
            return self._look_v1(target, seconds)
        entries = _object(reply).get("versions")
        names = [str(item) for item in entries] if isinstance(entries, list) else []
        versions = tuple(int(item) for item in names if item.isdecimal() and len(item) < _LONGEST_VERSION)
        if len(versions) == len(names) > 0 and target.version not in versions:
            return judge_versions(target.version, {item: ("AVAILABLE", "") for item in versions})
        by_version = target.version in versions
        version = f"/versions/{target.version}" if by_version else ""
        ready = ask_http(self._where, f"{path}{version}/ready", seconds=seconds)
        if ready.status != _FOUND or (isinstance(ready.value, Mapping) and ready.value.get("ready") is False):
            return Look(state="loading", received=f"a model that is not ready: HTTP status {ready.status}")
        if by_version:
            return Look(state="loaded", received=f"version {target.version} ready", versions=versions)
        return _ready()

    def answer(self, target: Target, question: Question, seconds: float) -> Mapping[str, np.ndarray] | None:
        """Send a recorded request; see `Client.answer`."""
        if not self._v2:
            return self._predict(f"/v1/models/{quote(target.model)}:predict", question, seconds)
        if question.signature != _DEFAULT_SIGNATURE or not (_has_json(question) and _has_texts(question)):
            return None
        path = f"/v2/models/{quote(target.model)}/infer"
        body = {"inputs": [_tensor(name, value) for name, value in question.inputs.items()]}
        reply = ask_http(self._where, path, seconds=seconds, body=body, most=question.most_bytes)
        outputs = _object(reply).get("outputs")
        values = {
            str(output.get("name")): _reshaped(output)
            for output in (outputs if isinstance(outputs, list) else [])
            if isinstance(output, Mapping)
        }
        return _decode(question, values)

    def _look_v1(self, target: Target, seconds: float) -> Look:
        reply = ask_http(self._where, f"/v1/models/{quote(target.model)}", seconds=seconds)
        if reply.status == _UNKNOWN:
            return _unknown(target, reply)
        value = _object(reply)
        if "model_version_status" in value:
            return judge_versions(target.version, dict(decode_states(reply)))
        ready = str(value.get("ready")).lower() == "true"
        return _ready() if ready else Look(state="loading", received="a model that is not ready")


def columns(question: Question) -> dict[str, Any]:
    """A request for TensorFlow Serving's REST API, in its columnar format."""
    inputs = {name: encode_values(value) for name, value in question.inputs.items()}
    return {"signature_name": question.signature, "inputs": inputs}


def _has_json(question: Question) -> bool:
    """Whether JSON can express all numbers of a request; servers treat other numbers differently."""
    values = question.inputs.values()
    if any(spec.dtype.startswith("complex") for spec in question.specs.values()):
        return False
    return all(value.dtype.kind != "c" for value in values) and all(
        "float" not in value.dtype.name or bool(np.isfinite(value).all()) for value in values
    )


def _has_texts(question: Question) -> bool:
    """Whether all strings of a request are UTF-8: KServe's version 2 has no other form in JSON."""
    strings = (text for values in question.inputs.values() if values.dtype == object for text in values.flat)
    try:
        return all(text.decode() is not None for text in strings)
    except UnicodeDecodeError:
        return False


def decode_columns(question: Question, reply: Reply) -> dict[str, np.ndarray]:
    """The outputs in the response to a columnar request; raises `BadAnswer`."""
    outputs = _object(reply).get("outputs")
    # If there is one output, the response has only its values.
    single = not isinstance(outputs, Mapping) or set(outputs) == {"b64"}
    if single and len(question.specs) == 1:
        outputs = {name: outputs for name in question.specs}
    return _decode(question, outputs if isinstance(outputs, Mapping) else {})


def _decode(question: Question, outputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    if lacking := sorted(set(question.specs) - set(outputs)):
        raise BadAnswer(f"an answer without the output {lacking[0]!r}")
    try:
        return {
            name: decode_tensor(f"output {name!r}", spec, outputs[name])
            for name, spec in question.specs.items()
        }
    except InvalidRequest as err:
        raise BadAnswer(short_text(str(err).removesuffix(" Correct the request."))) from err


def _object(reply: Reply) -> Mapping[str, Any]:
    if reply.status != _FOUND:
        raise BadAnswer(f"HTTP status {reply.status}: {error_of(reply)}")
    if not isinstance(reply.value, Mapping):
        raise BadAnswer("an answer that is not a JSON object")
    return reply.value


def _unknown(target: Target, reply: Reply) -> Look:
    return Look(state="unknown_model", received=f"no model {target.model!r}: {error_of(reply)}")


def _ready() -> Look:
    return Look(state="loaded", received="a model that is ready, whose version is unknown")


def decode_states(reply: Reply) -> Iterator[tuple[int, tuple[str, str]]]:
    """Each version with its state and an error's message; raises `BadAnswer`."""
    entries = _object(reply).get("model_version_status")
    if not isinstance(entries, list):
        raise BadAnswer("an answer without model_version_status")
    for entry in entries:
        version = str(entry.get("version")) if isinstance(entry, Mapping) else ""
        if version.isdecimal() and len(version) < _LONGEST_VERSION:
            status = entry.get("status")
            error = status.get("error_message") if isinstance(status, Mapping) else ""
            yield int(version), (str(entry.get("state")), str(error or ""))


def _tensor(name: str, value: np.ndarray) -> dict[str, Any]:
    dtype = name_of_array(value) or ""
    datatype = _DATATYPES.get(dtype, dtype.upper())
    return {"name": name, "shape": list(value.shape), "datatype": datatype, "data": encode_values(value)}


def _reshaped(output: Mapping[str, Any]) -> Any:
    """An output's values as nested lists, also if they were sent as one flat list."""
    data, shape = output.get("data"), output.get("shape")
    flat = isinstance(data, list) and not any(isinstance(item, list) for item in data)
    if not flat or not isinstance(shape, list) or len(shape) < 2:  # noqa: PLR2004 - a vector is its list
        return data
    try:
        # Rows without values need memory, too.
        if math.prod(max(size, 1) for size in shape) > max(len(data), _MOST_ROWS):  # type: ignore[arg-type]
            raise ValueError(f"shape {shape}")
        values: Any = np.empty(len(data), dtype=object)  # type: ignore[arg-type]
        values[:] = data
        return values.reshape(shape).tolist()
    except (TypeError, ValueError) as err:
        raise BadAnswer(
            f"output {short_text(output.get('name'))!r}: values that do not fit its shape"
        ) from err
