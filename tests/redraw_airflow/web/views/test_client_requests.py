from __future__ import annotations

import ast
import base64
import json
import shlex
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraw.records.signature import Signature, TensorSpec
from redraw_airflow.web.views.client_requests import client_requests
from tests.publishing.asked_model import ODD
from tests.redraw_airflow.web.publications import HOSTILE

TENSORS = {
    "image": TensorSpec("uint8", (None, 28, 28)),
    "pair": TensorSpec("float32", (None, 2)),
    "text": TensorSpec("string", (None,)),
    "flag": TensorSpec("bool", ()),
}


def body_of_python(program: str) -> Any:
    """The JSON that the program sends, without sending it."""
    (call,) = [
        node for node in ast.walk(ast.parse(program)) if isinstance(node, ast.keyword) and node.arg == "json"
    ]
    return eval(compile(ast.Expression(call.value), "request", "eval"))  # noqa: S307 - a program of ours


def body_of_curl(command: str) -> Any:
    """The JSON that the command sends: its pipe's first half is run, and curl is not."""
    words = shlex.split(command)
    if words[0] == "curl":
        return json.loads(words[words.index("-d") + 1])
    assert words[:2] == ["python3", "-c"]
    program = words[2]
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("large", [False, True])
def test_write_requests_of_names_of_any_form(large: bool) -> None:
    spec = TENSORS["image"] if large else TENSORS["pair"]
    signature = Signature(inputs=dict.fromkeys(ODD, spec), outputs={})

    (request,) = client_requests("mnist", {"a/b 'c'": signature})

    body = body_of_python(request.python)
    assert body == body_of_curl(request.curl)
    assert set(body["inputs"]) == set(ODD)
    assert body["signature_name"] == "a/b 'c'"


@pytest.mark.parametrize("names", [["image"], ["pair"], ["text", "flag"], list(TENSORS)])
def test_write_requests_fits_the_signature(names: list[str]) -> None:
    signature = Signature(inputs={name: TENSORS[name] for name in names}, outputs={})

    (request,) = client_requests("mnist", {"serving_default": signature})

    body = body_of_python(request.python)
    assert body == body_of_curl(request.curl)
    assert body["signature_name"] == "serving_default"
    for name in names:
        sizes = [1 if size is None else size for size in TENSORS[name].shape]
        assert list(np.shape(body["inputs"][name])) == sizes
    assert "/v1/models/mnist:predict" in request.curl
    assert "/v1/models/mnist:predict" in request.python


def test_write_requests_sends_strings_as_bytes() -> None:
    signature = Signature(inputs={"text": TENSORS["text"]}, outputs={})

    (request,) = client_requests("mnist", {"serving_default": signature})

    (sent,) = body_of_curl(request.curl)["inputs"]["text"]
    assert base64.b64decode(sent["b64"]) == b"example"


@given(st.text() | st.sampled_from(HOSTILE), st.text() | st.sampled_from(HOSTILE))
def test_write_requests_of_any_names_keeps_them_apart_from_the_shell(name: str, tensor: str) -> None:
    signature = Signature(inputs={tensor: TENSORS["pair"]}, outputs={})

    (request,) = client_requests("mnist", {name: signature})

    body = {"signature_name": name, "inputs": {tensor: [[0.0, 0.0]]}}
    assert body_of_curl(request.curl) == body
    assert body_of_python(request.python) == body
