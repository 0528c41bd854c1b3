"""Small exports with true records, and exports of TF1 graph functions."""

from __future__ import annotations

import ctypes
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tasks.checkpoint.bundle_reader import TensorBundle
from tasks.checkpoint.bundle_writer import BundleWriter
from tasks.files import digest_tree
from tasks.records import (
    Check,
    Checkpoint,
    ExportedModel,
    LedgerSummary,
    Signature,
    TensorSpec,
    ValidationReport,
)
from tasks.requests import PushRequest

TRAINED_AT = "2024-05-06T07:08:09Z"

SHARDS = 6

_FILES = {
    **{f"variables/variables.data-{n:05d}-of-{SHARDS:05d}": bytes([n]) * 3000 for n in range(SHARDS)},
    "variables/variables.index": b"index",
    "assets/vocabulary.txt": b"a\nb\n",
    "assets.extra/tf_serving_warmup_requests": b"requests",
    "fingerprint.pb": b"fingerprint",
    "saved_model.pb": b"the graph",
}


@dataclass(frozen=True)
class Export:
    """An export on disk, validated."""

    folder: Path
    record: ExportedModel
    report: ValidationReport

    def request(self, bucket: str, *, make_live: bool = False) -> PushRequest:
        """The request to push it, by its paths."""
        return PushRequest(
            model="digits",
            saved_model=str(self.folder),
            report=f"{self.folder}.report.json",
            bucket=bucket,
            make_live=make_live,
        )


MakeExport = Callable[..., Export]


@pytest.fixture
def make_export(tmp_path: Path) -> MakeExport:
    """Make a validated export: `make_export(graph=b'…', trained_at='…', files={…})`."""

    def make(
        graph: bytes = b"the graph", trained_at: str = TRAINED_AT, files: dict[str, bytes] | None = None
    ) -> Export:
        folder = tmp_path / f"export-{len(list(tmp_path.iterdir()))}"
        for name, content in {**_FILES, **(files or {}), "saved_model.pb": graph}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        digest, size = digest_tree(folder)
        record, report = _record(folder, digest, size, trained_at), _report(digest)
        Path(f"{folder}.json").write_text(json.dumps(record.to_json()))
        Path(f"{folder}.report.json").write_text(json.dumps(report.to_json()))
        return Export(folder, record, report)

    return make


def _record(folder: Path, digest: str, size: int, trained_at: str) -> ExportedModel:
    checkpoint = Checkpoint(
        model="digits",
        uri="/catalogue/digits/100-0123456789ab",
        prefix="weights",
        format="tensor_bundle",
        step=100,
        trained_at=trained_at,
        digest="0123456789abcdef" * 4,
        size_bytes=12345,
    )
    image = TensorSpec("uint8", (None, 28, 28))
    return ExportedModel(
        model="digits",
        uri=str(folder),
        digest=digest,
        size_bytes=size,
        signatures={
            "serving_default": Signature(
                inputs={"image": image}, outputs={"digit": TensorSpec("int64", (None,))}
            )
        },
        checkpoint=checkpoint,
        weights="raw",
        ledger=LedgerSummary(served=1, dropped={"optimizer": 2}),
        ledger_uri=f"{folder}.ledger.json",
    )


def _report(digest: str) -> ValidationReport:
    check = Check(name="whole", status="passed", looked_at="the files", expected="all", found="all")
    return ValidationReport(
        model="digits", digest=digest, checks=(check,), passed=True, validated_at="2024-05-06T08:00:00Z"
    )


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB; mounting it needs root."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def export_graph_function() -> Callable[..., ExportedModel]:
    """Exports a TF1 graph function: `export_graph_function(checkpoint, out)` gives the record."""

    def export(checkpoint: Checkpoint, out: Path, weights: str | None = None) -> ExportedModel:
        from tensorflow.core.protobuf import saved_model_pb2

        from tasks.export.graph_functions import draw_graph_function
        from tasks.export.ledger import Dropped, Ledger, Served
        from tasks.export.warm_up import write_warm_up
        from tasks.graphs import with_averages
        from tasks.registry import load_definition

        definition = load_definition(checkpoint.model)
        drawn = draw_graph_function(definition)
        source = TensorBundle(Path(checkpoint.uri) / checkpoint.prefix)
        chosen = weights or definition.weights
        names = [variable.name for variable in drawn.variables]
        keys = with_averages(names, source.entries) if chosen == "average" else {n: n for n in names}
        with BundleWriter(out / "variables" / "variables", durable=False) as writer:
            for variable in drawn.variables:
                writer.copy(source.entries[keys[variable.name]], source, variable.key)
        saved_model = saved_model_pb2.SavedModel(saved_model_schema_version=1, meta_graphs=[drawn.meta_graph])
        (out / "saved_model.pb").write_bytes(saved_model.SerializeToString(deterministic=True))
        for name, path in drawn.assets.items():
            (out / "assets").mkdir(exist_ok=True)
            shutil.copy(path, out / "assets" / name)
        write_warm_up(definition, out)
        ledger = Ledger(
            served=tuple(
                Served(variable=v.name, key=keys[v.name], dtype=v.dtype, shape=v.shape)
                for v in drawn.variables
            ),
            dropped=tuple(
                Dropped(key=key, rule="not served") for key in source.entries if key not in keys.values()
            ),
        )
        Path(f"{out}.ledger.json").write_bytes(ledger.to_bytes())
        digest, size = digest_tree(out)
        record = ExportedModel(
            model=checkpoint.model,
            uri=str(out),
            digest=digest,
            size_bytes=size,
            signatures=definition.signatures,
            checkpoint=checkpoint,
            weights=chosen,
            ledger=ledger.summary(),
            ledger_uri=f"{out}.ledger.json",
        )
        Path(f"{out}.json").write_text(json.dumps(record.to_json()))
        return record

    return export


@pytest.fixture
def ask_cpp_loader() -> Callable[..., np.ndarray]:
    """Loads a SavedModel by the C++ loader, as a server does: `ask(folder, 'in:0', array, 'out:0')`."""
    from ctypes import CDLL, POINTER, byref, c_char_p, c_int, c_int64, c_size_t, c_void_p, cast, memmove

    import tensorflow as tf

    class Output(ctypes.Structure):
        _fields_ = [("operation", c_void_p), ("index", c_int)]

    library = CDLL(str(Path(tf.__file__).parent / "libtensorflow_cc.so.2"))
    for name in (
        *("TF_NewStatus", "TF_NewGraph", "TF_NewSessionOptions", "TF_LoadSessionFromSavedModel"),
        *("TF_GraphOperationByName", "TF_AllocateTensor", "TF_TensorData"),
    ):
        getattr(library, name).restype = c_void_p
    library.TF_Message.restype = c_char_p
    library.TF_TensorByteSize.restype = c_size_t
    library.TF_Dim.restype = c_int64

    def ask(folder: Path, source: str, value: np.ndarray, target: str) -> np.ndarray:
        status, graph = c_void_p(library.TF_NewStatus()), c_void_p(library.TF_NewGraph())
        options = c_void_p(library.TF_NewSessionOptions())
        tags = (c_char_p * 1)(b"serve")
        session = c_void_p(library.TF_LoadSessionFromSavedModel(
            options, None, str(folder).encode(), tags, 1, graph, None, status
        ))  # fmt: skip
        assert library.TF_GetCode(status) == 0, library.TF_Message(status)

        def end(name: str) -> Output:
            operation, _, index = name.partition(":")
            return Output(library.TF_GraphOperationByName(graph, operation.encode()), int(index))

        dims = (c_int64 * value.ndim)(*value.shape)
        dtype = tf.as_dtype(value.dtype).as_datatype_enum
        given = c_void_p(library.TF_AllocateTensor(dtype, dims, value.ndim, c_size_t(value.nbytes)))
        memmove(library.TF_TensorData(given), value.tobytes(), value.nbytes)
        answered = c_void_p()
        library.TF_SessionRun(
            session, None, byref(end(source)), byref(given), 1, byref(end(target)), byref(answered), 1,
            None, 0, None, status,
        )  # fmt: skip
        assert library.TF_GetCode(status) == 0, library.TF_Message(status)
        shape = [library.TF_Dim(answered, n) for n in range(library.TF_NumDims(answered))]
        size, data = library.TF_TensorByteSize(answered), c_void_p(library.TF_TensorData(answered))
        raw = bytes(cast(data, POINTER(ctypes.c_ubyte * size)).contents)
        kind = tf.as_dtype(library.TF_TensorType(answered))
        library.TF_CloseSession(session, status)
        library.TF_DeleteSession(session, status)
        if kind != tf.string:
            return np.frombuffer(raw, kind.as_numpy_dtype).reshape(shape)
        # Short strings lie within their 24 bytes: the length times four, then the text.
        texts = [raw[n + 1 : n + 1 + raw[n] // 4] for n in range(0, len(raw), 24)]
        return np.array(texts, dtype=object).reshape(shape)

    return ask
