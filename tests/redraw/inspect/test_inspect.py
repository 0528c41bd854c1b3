from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redraw.checkpoint.bundle.messages import SavedModel
from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.errors import CheckpointCorrupt, CheckpointNotFound
from redraw.inspect.inspect import inspect_uri
from redraw.records import Signature, TensorSpec
from redraw.records.results import CheckpointDescription, SavedModelDescription, TensorDescription
from redraw.requests import InspectRequest
from redraw.storage.opening import open_storage
from tests.paths import ROOT


def inspect_checkpoint(uri: str | Path) -> CheckpointDescription:
    described = inspect_uri(InspectRequest(uri=str(uri)))
    assert isinstance(described, CheckpointDescription)
    return described


def inspect_saved_model(uri: str | Path) -> SavedModelDescription:
    described = inspect_uri(InspectRequest(uri=str(uri)))
    assert isinstance(described, SavedModelDescription)
    return described


@pytest.fixture(scope="session")
def tf() -> Any:
    import tensorflow

    return tensorflow


@pytest.fixture(scope="session")
def checkpoint(tf: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    module = tf.Module()
    module.kernel = tf.Variable(np.zeros((3, 2), np.float32))
    saved = tf.train.Checkpoint(step=tf.Variable(41, dtype=tf.int64), model=module)
    return Path(saved.write(str(tmp_path_factory.mktemp("run") / "ckpt-9")))


@pytest.fixture(scope="session")
def saved_model(tf: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    module = tf.Module()
    module.kernel = tf.Variable(np.ones((3, 2), np.float32))

    def serve(x: Any) -> dict[str, Any]:
        answer = tf.matmul(x, module.kernel)
        return {"answer": answer, "best": tf.argmax(answer, axis=1)}

    def odd(text: Any, sparse: Any) -> dict[str, Any]:
        return {"text": text, "sum": tf.sparse.reduce_sum(sparse)}

    folder = tmp_path_factory.mktemp("exported") / "model"
    rows = tf.TensorSpec([None, 3], tf.float32, "x")
    odd_ones = (tf.TensorSpec(None, tf.string, "any"), tf.SparseTensorSpec([None, 4]))
    module.serve, module.odd = tf.function(serve), tf.function(odd)
    signatures = {
        "serving_default": module.serve.get_concrete_function(rows),
        "odd": module.odd.get_concrete_function(*odd_ones),
    }
    tf.saved_model.save(module, str(folder), signatures)
    return folder


def test_inspect_saved_model_with_reference_variables_for_inputs_names_them(tf: Any, tmp_path: Path) -> None:
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        w = v1.Variable([1.0, 2.0], use_resource=False, name="w")
        session.run(v1.global_variables_initializer())
        info = v1.saved_model.build_tensor_info(w._variable)
        answer = v1.saved_model.build_tensor_info(w + 1.0)
        signature = v1.saved_model.build_signature_def({"w": info}, {"y": answer})
        builder = v1.saved_model.Builder(str(tmp_path / "model"))
        builder.add_meta_graph_and_variables(session, ["serve"], {"serve": signature})
        builder.save()
    found = inspect_saved_model(tmp_path / "model").signatures["serve"]
    assert found.inputs["w"] == TensorSpec("reference of float32", (2,))
    assert found.outputs["y"] == TensorSpec("float32", (2,))


def test_inspect_checkpoint_of_tensorflow_describes_it(checkpoint: Path) -> None:
    described = inspect_checkpoint(checkpoint)
    assert described.uri == str(checkpoint)
    assert (described.format, described.step, described.shards) == ("tensor_bundle", 41, 1)
    assert described.size_bytes == sum(
        path.stat().st_size for path in checkpoint.parent.iterdir() if path.name.startswith("ckpt-9.")
    )
    assert [(tensor.key.partition("/.")[0], tensor.role) for tensor in described.tensors] == [
        ("_CHECKPOINTABLE_OBJECT_GRAPH", "object graph"),
        ("model/kernel", "model weight"),
        ("step", "step"),
    ]
    assert described.tensors[1] == TensorDescription(
        key="model/kernel/.ATTRIBUTES/VARIABLE_VALUE",
        dtype="float32",
        shape=(3, 2),
        size_bytes=24,
        role="model weight",
    )
    assert CheckpointDescription.from_json(json.loads(json.dumps(described.to_json()))) == described


def test_inspect_folder_of_one_checkpoint_describes_it(checkpoint: Path) -> None:
    assert inspect_checkpoint(checkpoint.parent).tensors == inspect_checkpoint(checkpoint).tensors


@pytest.mark.parametrize(
    ("name", "key", "step"),
    [("model.ckpt-120", "weights", 120), ("model.ckpt-120", "global_step", 7), ("weights", "weights", None)],
    ids=["from_the_name", "from_the_variable", "unknown"],
)
def test_inspect_checkpoint_of_names_finds_its_step(
    tmp_path: Path, name: str, key: str, step: int | None
) -> None:
    with BundleWriter(tmp_path / name) as writer:
        writer.add_array(key, np.int64(7))
    assert inspect_checkpoint(tmp_path / name).step == step


def test_inspect_saved_model_describes_it(tf: Any, saved_model: Path) -> None:
    described = inspect_saved_model(saved_model)
    assert described.tags == ("serve",)
    assert described.signatures["serving_default"] == Signature(
        inputs={"x": TensorSpec("float32", (None, 3))},
        outputs={"answer": TensorSpec("float32", (None, 2)), "best": TensorSpec("int64", (None,))},
    )
    assert [(tensor.shape, tensor.role) for tensor in described.variables] == [((3, 2), "model weight")]
    assert described.operations["MatMul"] >= 1
    assert described.operations["ArgMax"] >= 1
    assert described.size_bytes == sum(
        path.stat().st_size for path in saved_model.rglob("*") if path.is_file()
    )
    assert SavedModelDescription.from_json(json.loads(json.dumps(described.to_json()))) == described


def test_inspect_signature_of_odd_tensors_shows_what_they_are(saved_model: Path) -> None:
    signature = inspect_saved_model(saved_model).signatures["odd"]
    assert signature.inputs["any"] == TensorSpec("string of unknown rank", ())
    assert signature.outputs["text"] == TensorSpec("string of unknown rank", ())
    assert sorted(inspect_saved_model(saved_model).signatures) == ["odd", "serving_default"]


def test_inspect_saved_model_of_tf1_shows_sparse_input_and_variables(tf: Any, tmp_path: Path) -> None:
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.sparse_placeholder(tf.float32, [None, 4], name="x")
        weight = v1.get_variable("dense/kernel", initializer=np.ones((4, 1), np.float32))
        y = tf.sparse.sparse_dense_matmul(x, weight)
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(tmp_path / "old"), {"x": x}, {"y": y})
    described = inspect_saved_model(tmp_path / "old")
    assert described.signatures["serving_default"].inputs["x"] == TensorSpec("sparse float32", (None, 4))
    assert described.signatures["serving_default"].outputs["y"] == TensorSpec("float32", (None, 1))
    assert [tensor.key for tensor in described.variables] == ["dense/kernel"]


@pytest.mark.parametrize("kind", ["checkpoint", "saved_model"])
def test_inspect_in_fresh_process_imports_no_tensorflow(
    checkpoint: Path, saved_model: Path, kind: str
) -> None:
    uri = checkpoint if kind == "checkpoint" else saved_model
    program = (
        "import sys, redraw.inspect.inspect, redraw.requests as r\n"
        f"print(type(redraw.inspect.inspect.inspect_uri(r.InspectRequest(uri={str(uri)!r}))).__name__)\n"
        "print([m for m in ('tensorflow', 'keras', 'google.cloud.storage') if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    kinds = {"checkpoint": "CheckpointDescription", "saved_model": "SavedModelDescription"}
    assert run.stdout.splitlines() == [kinds[kind], "[]"]


@pytest.mark.parametrize("name", ["ckpt", "model.h5", "weights.h5"])
def test_inspect_files_of_keras_2_shows_weights_averages_and_step(name: str, keras_2_files: Any) -> None:
    described = inspect_checkpoint(keras_2_files.folder / name)
    roles = [tensor.role for tensor in described.tensors]
    assert roles.count("model weight") == 8
    assert roles.count("moving average") == (0 if name == "weights.h5" else 6)
    assert described.step == (None if name == "weights.h5" else 1)
    assert described.shards == 1
    assert described.format == ("tensor_bundle" if name == "ckpt" else "keras_h5")


@pytest.mark.parametrize("name", ["model.keras", "model.weights.h5"])
def test_inspect_files_of_keras_3_shows_weights_and_step(name: str, keras_3_files: Any) -> None:
    described = inspect_checkpoint(keras_3_files.folder / name)
    assert [tensor.role for tensor in described.tensors].count("model weight") == 8
    assert described.step == 1
    assert described.size_bytes == (keras_3_files.folder / name).stat().st_size


def test_inspect_v1_and_a_step_of_an_estimator_folder(v1_prefix: Path, estimator_folder: Path) -> None:
    old = inspect_checkpoint(v1_prefix)
    assert (old.format, old.step, [tensor.key for tensor in old.tensors]) == (
        "saver_v1",
        42,
        ["dense/kernel", "flags", "global_step"],
    )
    chosen = inspect_uri(InspectRequest(uri=str(estimator_folder), step=100))
    assert isinstance(chosen, CheckpointDescription)
    assert chosen.step == 100


def test_inspect_saved_model_in_a_bucket_reads_no_weights(
    tf: Any, tmp_path: Path, bucket: str, bytes_read: Callable[[], int]
) -> None:
    module = tf.Module()
    module.kernel = tf.Variable(np.ones((1000, 1000), np.float32))
    tf.saved_model.save(module, str(tmp_path / "model"))
    for path in (path for path in (tmp_path / "model").rglob("*") if path.is_file()):
        open_storage(bucket).create(f"model/{path.relative_to(tmp_path / 'model').as_posix()}", path)
    described = inspect_saved_model(f"{bucket}/model")
    assert [(tensor.shape, tensor.role) for tensor in described.variables] == [((1000, 1000), "model weight")]
    assert described.size_bytes > 4_000_000
    assert 0 < bytes_read() < 200_000


def test_inspect_nothing_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFound, match="found none"):
        inspect_uri(InspectRequest(uri=str(tmp_path)))
    with pytest.raises(CheckpointNotFound, match="found none"):
        inspect_uri(InspectRequest(uri=str(tmp_path / "nowhere")))


def write_garbage(folder: Path) -> None:
    (folder / "saved_model.pb").write_bytes(b"\xff" * 40)


def write_nothing(folder: Path) -> None:
    (folder / "saved_model.pb").write_bytes(b"")


def write_unknown_dtype(folder: Path) -> None:
    message = SavedModel()
    signature = message.meta_graphs.add().signature_def.add(key=b"s")
    signature.value.inputs.add(key=b"x").value.dtype = 99
    (folder / "saved_model.pb").write_bytes(message.SerializeToString())


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (write_garbage, "a SavedModel protocol buffer"),
        (write_nothing, "a SavedModel with a graph"),
        (write_unknown_dtype, "signature 's', input 'x': expected a TensorFlow dtype"),
    ],
)
def test_inspect_damaged_saved_model_names_file_and_damage(
    tmp_path: Path, write: Callable[[Path], None], message: str
) -> None:
    write(tmp_path)
    with pytest.raises(CheckpointCorrupt, match=rf"{message}.*saved_model\.pb"):
        inspect_uri(InspectRequest(uri=str(tmp_path)))


def write_graphs(folder: Path, *tags: tuple[bytes, ...]) -> None:
    """A SavedModel without variables, with a graph for each group of tags; `s` takes tensors of all forms."""
    message = SavedModel()
    for number, group in enumerate(tags):
        graph = message.meta_graphs.add()
        graph.meta_info_def.tags.extend(group)
        graph.graph_def.node.add(op=b"Add")
        for op in (b"Relu", b"Add", *[b"Mul"] * number):
            graph.graph_def.library.function.add().node_def.add(op=op)
        signature = graph.signature_def.add(key=b"s").value
        tensors = {key: signature.inputs.add(key=key).value for key in (b"z", b"dense", b"many")}
        for tensor in tensors.values():
            tensor.dtype = 103  # a reference of int32
            for size in (-1, 0, 3):
                tensor.tensor_shape.dim.add(size=size)
        tensors[b"z"].dtype = 1
        tensors[b"z"].coo_sparse.values_tensor_name = b"v"
        tensors[b"many"].composite_tensor.components.add()
        graph.signature_def.add(key=b"a").value.outputs.add(key=b"y").value.dtype = 33
        graph.signature_def.add(key=b"__saved_model_init_op").value.outputs.add(key=b"op")
    (folder / "saved_model.pb").write_bytes(message.SerializeToString())


@pytest.mark.parametrize(
    ("tags", "shown", "muls"),
    [
        ([(), (b"train", b"serve"), (b"serve",)], ("train", "serve"), 1),
        ([(b"gpu",), (b"served",)], ("gpu",), 0),
    ],
)
def test_inspect_saved_model_of_several_graphs_describes_the_one_to_serve(
    tags: list[tuple[bytes, ...]], shown: tuple[str, ...], muls: int, tmp_path: Path
) -> None:
    write_graphs(tmp_path, *tags)
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "variables").write_bytes(b"words")
    described = inspect_saved_model(tmp_path)
    assert described.tags == shown
    assert [*described.operations.items()] == [("Add", 2), *([("Mul", muls)] if muls else []), ("Relu", 1)]
    assert [*described.signatures] == ["a", "s"]
    assert [*described.signatures["s"].inputs.items()] == [
        ("dense", TensorSpec("reference of int32", (None, 0, 3))),
        ("many", TensorSpec("composite tensor", ())),
        ("z", TensorSpec("sparse float32", (None, 0, 3))),
    ]
    assert described.signatures["a"].outputs == {"y": TensorSpec("float4_e2m1fn", ())}
    assert described.variables == ()
    assert described.size_bytes == 5 + (tmp_path / "saved_model.pb").stat().st_size


def test_inspect_checkpoint_with_a_missing_shard_names_it(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "ckpt", 10) as writer:
        for number in range(3):
            writer.add_array(f"w{number}", np.zeros(10))
    (tmp_path / "ckpt.data-00001-of-00003").unlink()
    with pytest.raises(CheckpointCorrupt, match="data-00001-of-00003, found no such file"):
        inspect_uri(InspectRequest(uri=str(tmp_path / "ckpt")))


def test_inspect_in_a_bucket_describes_folder_and_prefix(
    bucket: str, checkpoint: Path, saved_model: Path
) -> None:
    storage = open_storage(bucket)
    for path in checkpoint.parent.iterdir():
        storage.create(f"runs/{path.name}", path)
    for path in (path for path in saved_model.rglob("*") if path.is_file()):
        storage.create(f"model/{path.relative_to(saved_model).as_posix()}", path)
    local = inspect_checkpoint(checkpoint)
    for uri in (f"{bucket}/runs", f"{bucket}/runs/ckpt-9"):
        described = inspect_checkpoint(uri)
        assert (described.uri, described.step, described.tensors) == (uri, 41, local.tensors)
    assert inspect_saved_model(f"{bucket}/model/").signatures == inspect_saved_model(saved_model).signatures
    with pytest.raises(CheckpointNotFound, match="found none"):
        inspect_uri(InspectRequest(uri=f"{bucket}/runs/none"))
    with pytest.raises(CheckpointNotFound, match="found none"):
        inspect_uri(InspectRequest(uri=f"{bucket}/empty"))


def test_inspect_names_the_graph_next_to_a_checkpoint_and_what_a_draft_would_find(tmp_path: Path) -> None:
    from tests.redraw.recorded.old_graphs import Case, record

    recorded = record(Case("placeholder", "floor", "placeholder", "fused"), tmp_path / "old")
    found = inspect_checkpoint(recorded.prefix).recording
    assert found is not None
    assert (found.uri, found.command) == (str(recorded.meta), f"redraw draft {recorded.meta}")
    assert found.operations > 50
    assert any(source.startswith("x:0: data") for source in found.sources)
    assert any(source.startswith("label") for source in found.sources)
    assert recorded.outputs["probabilities"] in found.outputs[0]

    recorded.meta.write_bytes(b"\x0a\xff\xff\xff\xff\x0f")
    broken = inspect_checkpoint(recorded.prefix).recording
    assert broken is not None
    assert "got DecodeError" in broken.problem
    recorded.meta.unlink()
    for other in recorded.meta.parent.glob("*.pbtxt"):
        other.unlink()
    assert inspect_checkpoint(recorded.prefix).recording is None
