"""Requests to TensorFlow Serving, ready to copy: `curl` and Python, by a model's signature.

Source:
    https://www.tensorflow.org/tfx/serving/api_rest#predict_api
"""

from __future__ import annotations

import base64
import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redraw.records.signature import Signature, TensorSpec

_ADDRESS = "http://HOST:8501/v1/models"
# A request with more values is written as an expression, such as `[[[0] * 28] * 28]`.
_WRITTEN_OUT = 16
_TEXT = {"b64": base64.b64encode(b"example").decode()}


@dataclass(frozen=True, kw_only=True)
class ClientRequest:
    """A request to one signature.

    Attributes:
        signature: The signature's name.
        curl: A command for a shell.
        python: A program.
    """

    signature: str
    curl: str
    python: str


def client_requests(model: str, signatures: Mapping[str, Signature]) -> tuple[ClientRequest, ...]:
    """Write a request of one row for each signature, by columns, with values of the right dtype and shape.

    Returns:
        A request for each signature, by name.
    """
    url = f"{_ADDRESS}/{model}:predict"
    return tuple(_request(url, name, signatures[name]) for name in sorted(signatures))


def _request(url: str, name: str, signature: Signature) -> ClientRequest:
    inputs = ", ".join(
        f"{_quoted(key)}: {_expression(spec)}" for key, spec in sorted(signature.inputs.items())
    )
    body = f'{{"signature_name": {_quoted(name)}, "inputs": {{{inputs}}}}}'
    return ClientRequest(signature=name, curl=_curl(url, name, signature, body), python=_python(url, body))


def _curl(url: str, name: str, signature: Signature, body: str) -> str:
    send = f"curl -sS -H 'Content-Type: application/json' {url}"
    if any(math.prod(_sizes(spec)) > _WRITTEN_OUT for spec in signature.inputs.values()):
        program = f"import json; print(json.dumps({body}))"
        return f"python3 -c {shlex.quote(program)} |\n  {send} -d @-"
    inputs = {key: _nested(spec) for key, spec in sorted(signature.inputs.items())}
    text = json.dumps({"signature_name": name, "inputs": inputs}, allow_nan=False)
    return f"{send} \\\n  -d {shlex.quote(text)}"


def _python(url: str, body: str) -> str:
    return (
        "import requests\n\n"
        "answer = requests.post(\n"
        f'    "{url}",\n'
        f"    json={body},\n"
        "    timeout=10,\n"
        ")\n"
        "answer.raise_for_status()\n"
        'print(answer.json()["outputs"])\n'
    )


def _quoted(text: object) -> str:
    """A text or a dict of texts in a form that is both Python and JSON, with quotes that a shell keeps."""
    return json.dumps(text, ensure_ascii=False, allow_nan=False)


def _sizes(spec: TensorSpec) -> list[int]:
    """The shape of a request of one row: unknown dimensions are 1."""
    return [1 if size is None else size for size in spec.shape]


def _value(dtype: str) -> Any:
    """A value that is valid for any tensor of the dtype."""
    if dtype == "string":
        return _TEXT
    if dtype == "bool":
        return False
    return 0 if "int" in dtype else 0.0


def _nested(spec: TensorSpec) -> Any:
    value = _value(spec.dtype)
    for size in reversed(_sizes(spec)):
        value = [value] * size
    return value


def _expression(spec: TensorSpec) -> str:
    """The value as a short Python expression."""
    value = _value(spec.dtype)
    text = _quoted(value) if isinstance(value, dict) else repr(value)
    for size in reversed(_sizes(spec)):
        text = f"[{text}]" if size == 1 else f"[{text}] * {size}"
    return text
