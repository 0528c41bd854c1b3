"""Small exports with true records, checkpoint files of every format, and the C++ loader."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from redraw.records import (
    Checkpoint,
    ExportedModel,
    ValidationReport,
    WeightsKind,
)
from redraw.requests import ExportRequest, PushRequest
from redraw.storage.files import digest_tree
from tests.conftest import make_folder_once
from tests.publishing.exports import TRAINED_AT, export_record, passing_report, write_attachments

SHARDS = 6

_FILES = {
    **{f"variables/variables.data-{n:05d}-of-{SHARDS:05d}": bytes([n]) * 3000 for n in range(SHARDS)},
    "variables/variables.index": b"index",
    "assets/vocabulary.txt": b"a\nb\n",
    "assets.extra/tf_serving_warmup_requests": b"requests",
    "fingerprint.pb": b"fingerprint",
    "saved_model.pb": b"the graph",
}


@pytest.fixture
def loadable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the exports of `make_export`, whose files are no model, be made live."""
    from redraw.publish.live import loading

    monkeypatch.setattr(loading, "demand_loadable", lambda *_: None)


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
        record = export_record(folder, digest, size, trained_at)
        report = passing_report(digest, write_attachments(folder))
        Path(f"{folder}.json").write_text(json.dumps(record.to_json()))
        Path(f"{folder}.report.json").write_text(json.dumps(report.to_json()))
        return Export(folder, record, report)

    return make


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    if os.geteuid() != 0:
        with _disk_of_a_process(folder) as disk:
            yield disk
        return
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def _disk_of_a_process(folder: Path) -> Iterator[Path]:
    """One that is mounted in the namespaces of a process, which needs no root; gone with that process."""
    mount = 'mount -t tmpfs -o size=1m tmpfs "$0" && echo mounted && exec cat'
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, os.fspath(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True) as holder:
        assert holder.stdin
        assert holder.stdout
        if (said := holder.stdout.readline()) != "mounted\n":
            pytest.skip(f"cannot mount a tmpfs here: {said.strip()}")
        yield Path(f"/proc/{holder.pid}/root{folder}")
        holder.stdin.close()


# Keras 2 and Keras 3 take each other's environment in one process: Keras 2 writes in its own.
_KERAS_2 = """
import sys, numpy as np, tf_keras as keras
out = sys.argv[1]
model = keras.Sequential([
    keras.layers.Input((4,)), keras.layers.Dense(3, name="hidden"), keras.layers.Dropout(0.5),
    keras.layers.BatchNormalization(), keras.layers.Dense(2, name="answer")])
model.compile(keras.optimizers.SGD(use_ema=True, momentum=0.9), "mse")
model.train_on_batch(np.random.rand(4, 4), np.ones((4, 2)))
model.save_weights(f"{out}/ckpt")
model.save(f"{out}/model.h5")
model.save_weights(f"{out}/weights.h5")
model.save(f"{out}/saved_model")
np.savez(f"{out}/values.npz", **{w.name.removesuffix(":0"): w.numpy() for w in model.weights})
averages = model.optimizer._model_variables_moving_average
names = [v.name.partition("average/")[2].removesuffix(":0") for v in averages]
np.savez(f"{out}/averages.npz", **dict(zip(names, [v.numpy() for v in averages])))
"""


@dataclass(frozen=True)
class Written:
    """A folder of files, and the values that they hold by variable name."""

    folder: Path
    values: Mapping[str, np.ndarray]
    averages: Mapping[str, np.ndarray]


@pytest.fixture(scope="session")
def keras_2_files(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """`ckpt`, `model.h5`, `weights.h5` and `saved_model/` of one model, by Keras 2."""

    def write(folder: Path) -> None:
        folder.mkdir()
        command = [sys.executable, "-c", _KERAS_2, str(folder)]
        written = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert written.returncode == 0, written.stderr

    folder = make_folder_once(tmp_path_factory, "keras-2", write)
    return Written(folder, dict(np.load(folder / "values.npz")), dict(np.load(folder / "averages.npz")))


@pytest.fixture(scope="session")
def keras_3_files(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """`model.keras`, `model.weights.h5`, `legacy.h5` and `ckpt` of one model, by Keras 3."""
    import keras
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("keras-3")
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(3, name="hidden"),
            keras.layers.Dropout(0.5),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Dense(2, name="answer"),
        ],
        name="net",
    )
    optimizer = keras.optimizers.SGD(use_ema=True, momentum=0.9)
    model.compile(optimizer, "mse")
    model.train_on_batch(np.random.rand(4, 4), np.ones((4, 2)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras' own, of NumPy 2 and of the old format
        model.save(folder / "model.keras")
        model.save_weights(folder / "model.weights.h5")
        model.save(folder / "legacy.h5")
    tf.train.Checkpoint(model=model, optimizer=optimizer).write(str(folder / "ckpt"))
    averages = zip(model.trainable_variables, optimizer._model_variables_moving_average, strict=True)
    return Written(
        folder,
        {v.path: v.numpy() for v in model.variables if "seed_generator" not in v.path},
        {weight.path: average.numpy() for weight, average in averages},
    )


@pytest.fixture(scope="session")
def estimator_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an Estimator left on another machine: three steps, V2, and a `checkpoint` file."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("estimator")
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        weight = tf.compat.v1.get_variable("dense/kernel", initializer=np.zeros((3, 2), np.float32))
        step = tf.compat.v1.train.get_or_create_global_step()
        saver = tf.compat.v1.train.Saver()
        session.run(tf.compat.v1.global_variables_initializer())
        for number in (100, 200, 300):
            session.run([weight.assign(np.full((3, 2), number, np.float32)), step.assign(number)])
            saver.save(session, str(folder / "model.ckpt"), number)
    state = folder / "checkpoint"
    state.write_text(state.read_text().replace(str(folder), "/mnt/elsewhere/run"))
    assert "/mnt/elsewhere/run/model.ckpt-300" in state.read_text()
    return folder


@pytest.fixture(scope="session", params=["one_file", "sharded"])
def v1_prefix(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prefix of a checkpoint that TF1's Saver V1 wrote, in one file or in shards."""
    import tensorflow as tf

    v1 = tf.compat.v1
    folder = tmp_path_factory.mktemp("v1")
    with tf.Graph().as_default(), v1.Session() as session:
        kernel = np.arange(6, dtype=np.float32).reshape(3, 2)
        v1.get_variable("dense/kernel", initializer=kernel, use_resource=False)
        v1.get_variable("flags", initializer=np.array([True, False]), use_resource=False)
        v1.get_variable("global_step", initializer=np.int64(42), use_resource=False)
        saver = v1.train.Saver(write_version=v1.train.SaverDef.V1, sharded=request.param == "sharded")
        session.run(v1.global_variables_initializer())
        saver.save(session, str(folder / "old.ckpt"), 42)
    return folder / "old.ckpt-42"


@pytest.fixture
def export_graph_function() -> Callable[..., ExportedModel]:
    """Exports a TF1 graph function: `export_graph_function(checkpoint, out)` gives the record."""

    def export(checkpoint: Checkpoint, out: Path, weights: WeightsKind | None = None) -> ExportedModel:
        from redraw.export.export import export_model

        return export_model(
            ExportRequest(model=checkpoint.model, checkpoint=checkpoint, out=str(out), weights=weights)
        )

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
        "TF_NewStatus",
        "TF_NewGraph",
        "TF_NewSessionOptions",
        "TF_LoadSessionFromSavedModel",
        "TF_GraphOperationByName",
        "TF_AllocateTensor",
        "TF_TensorData",
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


@pytest.fixture
def bytes_read(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many bytes the answers of the bucket have held since the test began."""
    sizes: list[int] = []
    send = requests.Session.send

    def counting(self: requests.Session, request: Any, **more: Any) -> requests.Response:
        response = send(self, request, **more)
        if request.method == "GET":
            # Known for every download; a listing is sent in chunks, and is read already.
            sizes.append(int(response.headers.get("Content-Length") or len(response.content)))
        return response

    monkeypatch.setattr(requests.Session, "send", counting)
    return lambda: sum(sizes)
