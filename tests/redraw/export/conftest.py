"""Sample models with checkpoints of random weights, and every way in which a SavedModel is loaded."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.definition import Mode, ModelDefinition
from redraw.definition.registry import load_definition
from redraw.export.export import export_model
from redraw.networks.modules import draw_network, renew_derived_constants, weights_by_name
from redraw.records import Checkpoint, ExportedModel
from redraw.requests import ExportRequest
from tests.paths import TESTS

Answers = Mapping[str, np.ndarray]
Exporter = Callable[..., ExportedModel]


@pytest.fixture
def samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the sample models findable; returns the vocabulary that they read."""
    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.setenv("REDRAW_MODELS", "sample_models")
    vocabulary = tmp_path / "vocabulary.txt"
    vocabulary.write_text("red\ngreen\nblue\ngrey\n")
    monkeypatch.setenv("SAMPLE_VOCABULARY", str(vocabulary))
    return vocabulary


@pytest.fixture
def make_checkpoint(samples: Path, tmp_path: Path) -> Callable[[str], Checkpoint]:
    """Writes a checkpoint of a model's training network, with random weights and Adam's slots."""

    def make(model: str) -> Checkpoint:
        network = draw_network(load_definition(model), Mode.TRAIN)
        rng = np.random.default_rng(7)
        for _, variable in sorted(weights_by_name(network).items()):
            variable.assign(tf.cast(rng.uniform(0.5, 1.5, variable.shape), variable.dtype))
        optimizer = keras.optimizers.Adam()
        optimizer.build(network.trainable_variables)
        prefix = tf.train.Checkpoint(model=network, optimizer=optimizer, step=tf.Variable(9)).write(
            str(tmp_path / f"{model}-checkpoint" / "weights")
        )
        return Checkpoint(
            model=model,
            uri=str(Path(prefix).parent),
            prefix="weights",
            format="tensor_bundle",
            step=9,
            trained_at="2024-05-06T07:08:09Z",
            digest=TensorBundle(Path(prefix)).digest(),
            size_bytes=1,
        )

    return make


@pytest.fixture
def export(tmp_path: Path) -> Exporter:
    """Exports a checkpoint: `export(checkpoint, name)`."""

    def run(checkpoint: Checkpoint, name: str = "out") -> ExportedModel:
        request = ExportRequest(model=checkpoint.model, checkpoint=checkpoint, out=str(tmp_path / name))
        return export_model(request)

    return run


def restored_answers(checkpoint: Checkpoint, signature: str) -> Answers:
    """What the definition answers with the checkpoint restored in memory by TensorFlow."""
    definition = load_definition(checkpoint.model)
    network = draw_network(definition, Mode.EVALUATE)
    status = tf.train.Checkpoint(model=network).read(str(Path(checkpoint.uri) / checkpoint.prefix))
    status.expect_partial().assert_existing_objects_matched()
    renew_derived_constants(network)
    function = tf.function(lambda given: definition.serve(network, signature, given))
    return {name: value.numpy() for name, value in function(tensors(definition, signature)).items()}


def tensors(definition: ModelDefinition, signature: str) -> dict[str, tf.Tensor]:
    specs = definition.signatures[signature].inputs
    given = definition.golden_examples()[signature].inputs
    return {name: tf.constant(value, specs[name].dtype) for name, value in given.items()}


def load_object(folder: str, signature: str, inputs: Mapping[str, tf.Tensor]) -> Answers:
    model = tf.saved_model.load(folder)
    return {name: value.numpy() for name, value in model.signatures[signature](**inputs).items()}


def load_session(folder: str, signature: str, inputs: Mapping[str, tf.Tensor]) -> Answers:
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], folder).signature_def[signature]
        assert loaded.method_name == "tensorflow/serving/predict"
        feed = {loaded.inputs[name].name: value.numpy() for name, value in inputs.items()}
        return dict(session.run({name: info.name for name, info in loaded.outputs.items()}, feed))


class _Output(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


_STRING, _STRING_SIZE = tf.string.as_datatype_enum, 24


class Native:
    """TensorFlow's C API, as the wheel's library has it: the loader that a server runs."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL(str(Path(tf.sysconfig.get_lib()) / "libtensorflow_cc.so.2"))
        pointers = ("NewStatus", "NewGraph", "NewSessionOptions", "LoadSessionFromSavedModel", "NewBuffer")
        for name in (
            *pointers,
            "GraphOperationByName",
            "AllocateTensor",
            "TensorData",
            "StringGetDataPointer",
        ):
            self[name].restype = ctypes.c_void_p
        for name in ("TensorByteSize", "StringGetSize"):
            self[name].restype = ctypes.c_size_t
        self["Dim"].restype = ctypes.c_int64
        self["Message"].restype = ctypes.c_char_p
        self.status = ctypes.c_void_p(self["NewStatus"]())

    def __getitem__(self, name: str) -> Any:
        return getattr(self.library, f"TF_{name}")

    def check(self) -> None:
        assert self["GetCode"](self.status) == 0, self["Message"](self.status)

    def load(self, folder: str) -> tuple[Any, Any]:
        graph, options = ctypes.c_void_p(self["NewGraph"]()), ctypes.c_void_p(self["NewSessionOptions"]())
        tags = (ctypes.c_char_p * 1)(b"serve")
        session = self["LoadSessionFromSavedModel"](
            options, None, folder.encode(), tags, 1, graph, ctypes.c_void_p(self["NewBuffer"]()), self.status
        )
        self.check()
        return ctypes.c_void_p(session), graph

    def output(self, graph: Any, tensor: str) -> _Output:
        name, _, index = tensor.partition(":")
        return _Output(self["GraphOperationByName"](graph, name.encode()), int(index))

    def tensor(self, array: np.ndarray) -> int:
        dims = (ctypes.c_int64 * array.ndim)(*array.shape)
        texts = array.dtype == object
        dtype = _STRING if texts else tf.as_dtype(array.dtype).as_datatype_enum
        size = array.size * _STRING_SIZE if texts else array.nbytes
        made = self["AllocateTensor"](dtype, dims, array.ndim, ctypes.c_size_t(size))
        data = self["TensorData"](ctypes.c_void_p(made))
        if not texts:
            ctypes.memmove(data, array.tobytes(), size)
        for number, text in enumerate(array.ravel() if texts else ()):
            place = ctypes.c_void_p(data + number * _STRING_SIZE)
            self["StringInit"](place)
            self["StringCopy"](place, text, ctypes.c_size_t(len(text)))
        return int(made)

    def array(self, tensor: Any) -> np.ndarray:
        shape = [self["Dim"](tensor, axis) for axis in range(self["NumDims"](tensor))]
        dtype, data = self["TensorType"](tensor), self["TensorData"](tensor)
        if dtype != _STRING:
            content = ctypes.string_at(data, self["TensorByteSize"](tensor))
            return np.frombuffer(content, tf.as_dtype(dtype).as_numpy_dtype).reshape(shape)
        places = [ctypes.c_void_p(data + n * _STRING_SIZE) for n in range(int(np.prod(shape)))]
        texts = [ctypes.string_at(self["StringGetDataPointer"](p), self["StringGetSize"](p)) for p in places]
        return np.array(texts, object).reshape(shape)

    def run(
        self, session: Any, inputs: list[tuple[_Output, np.ndarray]], outputs: list[_Output]
    ) -> list[np.ndarray]:
        given = (_Output * len(inputs))(*(place for place, _ in inputs))
        values = (ctypes.c_void_p * len(inputs))(*(self.tensor(array) for _, array in inputs))
        wanted, answers = (_Output * len(outputs))(*outputs), (ctypes.c_void_p * len(outputs))()
        self["SessionRun"](
            session,
            None,
            given,
            values,
            len(inputs),
            wanted,
            answers,
            len(outputs),
            None,
            0,
            None,
            self.status,
        )
        self.check()
        return [self.array(ctypes.c_void_p(answer)) for answer in answers]


def load_native(folder: str, signature: str, inputs: Mapping[str, tf.Tensor]) -> Answers:
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel.FromString((Path(folder) / "saved_model.pb").read_bytes())
    described = model.meta_graphs[0].signature_def[signature]
    native = Native()
    session, graph = native.load(folder)
    given = [(native.output(graph, described.inputs[name].name), inputs[name].numpy()) for name in inputs]
    names = list(described.outputs)
    outputs = [native.output(graph, described.outputs[name].name) for name in names]
    return dict(zip(names, native.run(session, given, outputs), strict=True))


LOADERS = {"object": load_object, "session": load_session, "native": load_native}


@pytest.fixture(params=sorted(LOADERS))
def load(request: pytest.FixtureRequest) -> Callable[..., Answers]:
    """Each way in which a SavedModel is loaded: `load(folder, signature, inputs)`."""
    return LOADERS[request.param]


@pytest.fixture
def restore() -> Callable[[Checkpoint, str], Answers]:
    """What the checkpoint answers, restored in memory."""
    return restored_answers


@pytest.fixture
def ask() -> Callable[[ModelDefinition, str], dict[str, tf.Tensor]]:
    """A definition's golden examples as tensors."""
    return tensors
