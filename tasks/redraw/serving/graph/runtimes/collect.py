"""Write `op_lists.json.gz` from TensorFlow's wheels.

    python -m redraw.serving.graph.runtimes.collect 2.12.0 2.13.0 …

The wheels of the releases that are named, oldest first, are fetched by pip, one at a time,
and deleted again. Their C library is asked for its operations in a process of its own: no
Python of that release is run.
"""

from __future__ import annotations

import ctypes
import gzip
import json
import multiprocessing
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.op_def_pb2 import OpDef, OpList

from redraw.serving.graph.runtimes.op_lists import OP_LISTS

_LIBRARIES = ("tensorflow/libtensorflow_framework.so.2", "tensorflow/libtensorflow_cc.so.2")
# A wheel of tensorflow-cpu is half of tensorflow's, and has the same operations.
_PACKAGE = "tensorflow-cpu"
_PYTHON = "3.11"


def collect_op_lists(releases: Iterable[str]) -> bytes:
    """Ask releases of TensorFlow for their operations.

    Args:
        releases: Versions as the package index has them, the oldest first.

    Returns:
        The content of `op_lists.json.gz`; the same each time.

    Raises:
        subprocess.CalledProcessError: pip does not find a wheel.
        OSError: The library of a wheel cannot be loaded here.
    """
    asked = {release.rpartition(".")[0]: _ask(release) for release in releases}
    return gzip.compress(merge_op_lists(asked), mtime=0)


def merge_op_lists(releases: Mapping[str, tuple[OpList, GraphDef]]) -> bytes:
    """Put the operations of several releases together, each form of one once.

    Args:
        releases: Release to its operations and an empty graph of its version, the oldest first.

    Returns:
        JSON.
    """
    versions: dict[str, int] = {}
    ops: dict[str, list[dict[str, Any]]] = {}
    for name, (op_list, graph) in releases.items():
        versions[name] = graph.versions.producer
        for op in op_list.op:
            _note(ops.setdefault(op.name, []), name, list(versions), _described(op))
    content = {"graph_versions": versions, "ops": dict(sorted(ops.items()))}
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def _note(forms: list[dict[str, Any]], release: str, releases: list[str], described: dict[str, Any]) -> None:
    """Lengthen an operation's last form, or begin a new one where it changed or was gone."""
    if forms:
        last = forms[-1]
        known = {key: value for key, value in last.items() if key not in ("first", "last")}
        if known == described and last["last"] == releases[-2]:
            last["last"] = release
            return
    forms.append({"first": release, "last": release, **described})


def _described(op: OpDef) -> dict[str, Any]:
    described: dict[str, Any] = {"attrs": {attr.name: _described_attr(attr) for attr in op.attr}}
    if op.is_stateful:
        described["stateful"] = True
    if op.HasField("deprecation"):
        described["deprecated"] = op.deprecation.version
    return described


def _described_attr(attr: OpDef.AttrDef) -> dict[str, Any]:
    described: dict[str, Any] = {}
    if attr.HasField("default_value"):
        described["default"] = attr.default_value.SerializeToString(deterministic=True).hex()
    if attr.HasField("allowed_values"):
        allowed = attr.allowed_values.list
        described["allowed"] = [*allowed.type] or [text.decode() for text in allowed.s]
    return described


def _ask(release: str) -> tuple[OpList, GraphDef]:
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", scratch]
        command += ["--python-version", _PYTHON, "--only-binary", ":all:", f"{_PACKAGE}=={release}"]
        subprocess.run(command, check=True)  # noqa: S603 - the command line's own arguments
        (wheel,) = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            libraries = [archive.extract(name, scratch) for name in _LIBRARIES]
        return ask_library(libraries[-1])


def ask_library(path: str) -> tuple[OpList, GraphDef]:
    """Ask a C library of TensorFlow, in a process of its own: two releases would take each other's symbols.

    Args:
        path: `libtensorflow_cc.so.2`.

    Returns:
        Its operations, and an empty graph of the version that it writes.

    Raises:
        OSError: It cannot be loaded here.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        op_list, graph = process.submit(_read_library, path).result()
    return OpList.FromString(op_list), GraphDef.FromString(graph)


class _Buffer(ctypes.Structure):
    """`TF_Buffer` of TensorFlow's C API."""

    _fields_ = [  # noqa: RUF012 - as ctypes has it
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("deallocator", ctypes.c_void_p),
    ]


def _read_library(path: str) -> tuple[bytes, bytes]:
    library = ctypes.CDLL(path)
    for name in ("TF_GetAllOpList", "TF_NewGraph", "TF_NewStatus", "TF_NewBuffer"):
        getattr(library, name).restype = ctypes.c_void_p
    op_list = _content(library.TF_GetAllOpList())
    graph = ctypes.c_void_p(library.TF_NewGraph())
    buffer, status = library.TF_NewBuffer(), ctypes.c_void_p(library.TF_NewStatus())
    library.TF_GraphToGraphDef(graph, ctypes.c_void_p(buffer), status)
    if library.TF_GetCode(status):
        raise OSError(f"{path}: expected it to write an empty graph, got code {library.TF_GetCode(status)}.")
    return op_list, _content(buffer)


def _content(buffer: int) -> bytes:
    held = _Buffer.from_address(buffer)
    return ctypes.string_at(held.data, held.length)


if __name__ == "__main__":
    OP_LISTS.write_bytes(collect_op_lists(sys.argv[1:]))
