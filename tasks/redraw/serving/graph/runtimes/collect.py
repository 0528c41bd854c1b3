"""Write `op_lists.json.gz` from TensorFlow's wheels.

    python -m redraw.serving.graph.runtimes.collect 2.12.0 2.13.0 …

pip downloads the wheels of the named releases, oldest first, one at a time, and they are deleted again.
A process of its own reads the operations from each C library, without running Python code of the release.
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
    """Collect the operations of releases of TensorFlow.

    Args:
        releases: Versions in the package index, the oldest first.

    Returns:
        The content of `op_lists.json.gz`, which is the same each time.

    Raises:
        subprocess.CalledProcessError: pip does not find a wheel.
        OSError: The library of a wheel cannot be loaded here.
    """
    op_lists = {release.rpartition(".")[0]: _ask(release) for release in releases}
    return gzip.compress(merge_op_lists(op_lists), mtime=0)


def merge_op_lists(releases: Mapping[str, tuple[OpList, GraphDef]]) -> bytes:
    """Merge the operations of several releases; each form of an operation is listed once.

    Args:
        releases: Release to its operations and an empty graph that it wrote, the oldest first.

    Returns:
        JSON.
    """
    versions: dict[str, int] = {}
    ops: dict[str, list[dict[str, Any]]] = {}
    for name, (op_list, graph) in releases.items():
        versions[name] = graph.versions.producer
        for op in op_list.op:
            _note(ops.setdefault(op.name, []), name, list(versions), _describe(op))
    content = {"graph_versions": versions, "ops": dict(sorted(ops.items()))}
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def _note(forms: list[dict[str, Any]], release: str, releases: list[str], form: dict[str, Any]) -> None:
    """Extend an operation's last form, or add a new form if it changed or was missing."""
    if forms:
        last = forms[-1]
        last_form = {key: value for key, value in last.items() if key not in ("first", "last")}
        if last_form == form and last["last"] == releases[-2]:
            last["last"] = release
            return
    forms.append({"first": release, "last": release, **form})


def _describe(op: OpDef) -> dict[str, Any]:
    form: dict[str, Any] = {"attrs": {attr.name: _describe_attr(attr) for attr in op.attr}}
    if op.is_stateful:
        form["stateful"] = True
    if op.HasField("deprecation"):
        form["deprecated"] = op.deprecation.version
    return form


def _describe_attr(attr: OpDef.AttrDef) -> dict[str, Any]:
    form: dict[str, Any] = {}
    if attr.HasField("default_value"):
        form["default"] = attr.default_value.SerializeToString(deterministic=True).hex()
    if attr.HasField("allowed_values"):
        allowed = attr.allowed_values.list
        form["allowed"] = [*allowed.type] or [text.decode() for text in allowed.s]
    return form


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
    """Read the operations of a C library of TensorFlow in a process of its own, as two would share symbols.

    Args:
        path: The path of `libtensorflow_cc.so.2`.

    Returns:
        Its operations, and an empty graph that it wrote.

    Raises:
        OSError: The library cannot be loaded here.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        op_list, graph = process.submit(_read_library, path).result()
    return OpList.FromString(op_list), GraphDef.FromString(graph)


class _Buffer(ctypes.Structure):
    """`TF_Buffer` of TensorFlow's C API."""

    _fields_ = [  # noqa: RUF012 - required by ctypes
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
        raise OSError(
            f"{path}: the library could not write an empty graph, got code {library.TF_GetCode(status)}."
        )
    return op_list, _content(buffer)


def _content(buffer: int) -> bytes:
    contents = _Buffer.from_address(buffer)
    return ctypes.string_at(contents.data, contents.length)


if __name__ == "__main__":
    OP_LISTS.write_bytes(collect_op_lists(sys.argv[1:]))
