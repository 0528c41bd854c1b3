import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework.variable_pb2 import VariableDef

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.select import select_checkpoint
from redraw.definition.registry import load_definition
from redraw.errors import InvalidDefinition
from redraw.export.graph.graph_functions import draw_graph_function
from redraw.records import Checkpoint, ExportedModel
from redraw.requests import CheckpointRequest, TrainRequest
from redraw.train.train import train_model
from redraw.validate.subject.session_reference import SessionReference
from tests.paths import TESTS

Export = Callable[..., ExportedModel]

DRAW = """
import hashlib
from redraw.export.graph.graph_functions import draw_graph_function
from redraw.definition.registry import load_definition
for model in ("word_graph", "digits_graph"):
    drawn = draw_graph_function(load_definition(model)).meta_graph
    print(hashlib.sha256(drawn.SerializeToString(deterministic=True)).hexdigest())
"""


@pytest.fixture(autouse=True)
def sample_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own definitions next to the ones that ship."""
    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.setenv("REDRAW_MODELS", "sample_models,redraw.models")


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A checkpoint of `word_graph`."""
    folder = tmp_path_factory.mktemp("words")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TESTS))
        patch.setenv("REDRAW_MODELS", "sample_models")
        run = train_model(TrainRequest(model="word_graph", out=str(folder / "run")))
    request = CheckpointRequest(model="word_graph", source=run, catalogue=str(folder / "cat"), latest=True)
    return select_checkpoint(request)


def digest(meta_graph: Any) -> str:
    return hashlib.sha256(meta_graph.SerializeToString(deterministic=True)).hexdigest()


def answer_in_v1_session(folder: str, name: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        signature = tf.compat.v1.saved_model.load(session, ["serve"], folder).signature_def[name]
        return session.run(
            {output: tensor.name for output, tensor in signature.outputs.items()},
            {signature.inputs[key].name: value for key, value in inputs.items()},
        )


def definition_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> Any:
    """A definition like `word_graph`, with other methods."""
    package = tmp_path / f"graphs_{hashlib.sha256(body.encode()).hexdigest()[:12]}"
    package.mkdir()
    (package / "__init__.py").touch()
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    (package / "changed.py").write_text(
        "import numpy as np\nimport tensorflow as tf\nfrom redraw.definition import *\n"
        f"from sample_models.word_graph import WordGraphDefinition\n"
        f"class Changed(WordGraphDefinition):\n{lines}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("REDRAW_MODELS", package.name)
    return load_definition("changed")


WIDE = """
signatures = {"serving_default": Signature(
    inputs={"row": TensorSpec("int64", (None,))}, outputs={"value": TensorSpec("float32", (None, 8))})}
def graph(self, mode, features):
    table = tf.compat.v1.get_variable("table", [10**11, 8])
    scale = tf.compat.v1.get_variable("scale", initializer=np.ones([300, 400, 8], np.float32))
    return tf.gather(table, features) * scale[0, 0]
def serve(self, network, signature, inputs):
    return {"value": network(inputs["row"])}
"""

OLD_VARIABLES = """
signatures = {"serving_default": Signature(
    inputs={"x": TensorSpec("float32", (None, 2))}, outputs={"y": TensorSpec("float32", (None, 2))})}
def graph(self, mode, features):
    return features * tf.compat.v1.get_variable("scale", [2], use_resource=False)
def serve(self, network, signature, inputs):
    return {"y": network(inputs["x"])}
"""


def test_draw_graph_function_signatures_in_another_order_gives_the_same_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    definition = load_definition("word_graph")
    first = digest(draw_graph_function(definition).meta_graph)
    reversed_signatures = dict(reversed(definition.signatures.items()))
    assert list(reversed_signatures) != list(definition.signatures)
    monkeypatch.setattr(type(definition), "signatures", reversed_signatures)
    again = load_definition("word_graph")
    assert list(again.signatures) == list(reversed_signatures)
    assert digest(draw_graph_function(again).meta_graph) == first


def test_draw_graph_function_any_process_folder_and_hash_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    first = [
        digest(draw_graph_function(load_definition(m)).meta_graph) for m in ("word_graph", "digits_graph")
    ]
    again = [
        digest(draw_graph_function(load_definition(m)).meta_graph) for m in ("word_graph", "digits_graph")
    ]
    paths = os.pathsep.join(str(Path(p).absolute()) for p in sys.path if p)
    other = subprocess.run(
        [sys.executable, "-c", DRAW],
        env=os.environ | {"PYTHONPATH": paths, "PYTHONHASHSEED": "77"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert first == again == other.stdout.split()


@pytest.mark.parametrize("model", ["word_graph", "digits_graph"])
def test_draw_graph_function_holds_no_trace_of_the_machine(model: str) -> None:
    meta_graph = draw_graph_function(load_definition(model)).meta_graph
    content = meta_graph.SerializeToString(deterministic=True)
    for trace in (str(TESTS.parent).encode(), b"/tmp", b"device:", b"localhost", b".py"):
        assert trace not in content
    assert list(meta_graph.meta_info_def.tags) == ["serve"]


def test_draw_graph_function_keeps_what_signatures_reach_and_no_more() -> None:
    drawn = draw_graph_function(load_definition("word_graph"))
    assert [(v.name, v.key, v.dtype, v.shape) for v in drawn.variables] == [
        ("dense/bias", "dense/bias", "float32", (1,)),
        ("dense/kernel", "dense/kernel", "float32", (4, 1)),
        ("embedding", "embedding", "float32", (6, 4)),
        ("seen/count", "seen/count", "int64", ()),
    ]
    # Where TensorFlow 2 looks for the variables of such a graph; the embedding is made of two.
    collections = {
        key: {VariableDef.FromString(content).variable_name for content in collection.bytes_list.value}
        for key, collection in drawn.meta_graph.collection_def.items()
    }
    trained = {"dense/bias:0", "dense/kernel:0", "embedding/part_0:0", "embedding/part_1:0"}
    assert collections == {"trainable_variables": trained, "variables": trained | {"seen/count:0"}}
    operations = {node.op for node in drawn.meta_graph.graph_def.node}
    random = {"RandomUniform", "RandomStandardNormal", "TruncatedNormal", "ResourceApplyAdam"}
    assert not operations & random
    assert {"ResourceGather", "LookupTableFindV2", "RestoreV2"} <= operations
    assert drawn.texts == {}
    assert list(drawn.assets) == ["words.txt"]
    assert [asset.filename for asset in drawn.meta_graph.asset_file_def] == ["words.txt"] * 2


def test_draw_graph_function_lists_apart_what_no_signature_reaches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = """
signatures = {"serving_default": WordGraphDefinition.signatures["serving_default"]}
def graph(self, mode, features):
    tf.compat.v1.get_variable("idle", [3], tf.float16)
    return super().graph(mode, features)
"""
    drawn = draw_graph_function(definition_of(tmp_path, monkeypatch, body))
    assert [(v.name, v.dtype, v.shape) for v in drawn.unreached] == [("idle", "float16", (3,))]
    assert "idle" not in {variable.name for variable in drawn.variables}
    assert "idle" not in {node.name for node in drawn.meta_graph.graph_def.node}


def test_draw_graph_function_table_of_3_terabytes_costs_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = draw_graph_function(definition_of(tmp_path, monkeypatch, WIDE))
    shapes = {variable.name: variable.shape for variable in drawn.variables}
    assert shapes == {"scale": (300, 400, 8), "table": (10**11, 8)}
    assert drawn.meta_graph.ByteSize() < 20_000


def test_draw_graph_function_files_of_one_name_become_two_assets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "names.txt").write_text(f"{folder}\n")
    body = f"""
signatures = {{"serving_default": Signature(
    inputs={{"x": TensorSpec("string", (None,))}}, outputs={{"y": TensorSpec("int64", (None,))}})}}
def serve(self, network, signature, inputs):
    index = tf.lookup.TextFileIndex
    return {{"y": sum(tf.lookup.StaticHashTable(tf.lookup.TextFileInitializer(
        "{tmp_path}/" + folder + "/names.txt", tf.string, index.WHOLE_LINE, tf.int64, index.LINE_NUMBER), -1)
        .lookup(inputs["x"]) for folder in "aba")}}
"""
    drawn = draw_graph_function(definition_of(tmp_path, monkeypatch, body))
    assert drawn.assets == {
        "names.txt": tmp_path / "a" / "names.txt",
        "names_1.txt": tmp_path / "b" / "names.txt",
    }
    named = [asset.filename for asset in drawn.meta_graph.asset_file_def]
    assert named == ["names.txt", "names_1.txt", "names.txt"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("def serve(self, n, s, i): raise RuntimeError('not today')", "fails with RuntimeError: not today"),
        ("def serve(self, n, s, i): return {}", r"expected outputs \['word'\], got \[\]"),
        (
            "def serve(self, n, s, i): return {k: tf.constant([1]) for k in self.signatures[s].outputs}",
            r"output 'word': expected string \[None\], got int32 \(1,\)",
        ),
        (
            "def graph(self, mode, features):\n"
            "    own = tf.compat.v1.Variable(1.0, collections=['mine'])\n"
            "    return own * tf.ones([tf.size(features['word']), 1])",
            "outside of the collection",
        ),
        (
            "def graph(self, mode, features):\n"
            "    answer = tf.py_function(lambda word: 1.0, [features['word']], tf.float32)\n"
            "    return tf.ensure_shape(answer, [3, 1])",
            "got a call of Python",
        ),
        (
            "def serve(self, n, s, i):\n"
            "    tf.compat.v1.add_to_collection('asset_filepaths', f := tf.constant('/no/such/file'))\n"
            "    answers = super().serve(n, s, i)\n"
            "    return answers if s != 'nearest' else {'word': answers['word'] + tf.io.read_file(f)}",
            "expected a constant path of an existing file, got /no/such/file",
        ),
    ],
)
def test_draw_graph_function_definition_that_cannot_be_served_is_refused(
    body: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidDefinition, match=message):
        draw_graph_function(definition_of(tmp_path, monkeypatch, body))


def test_export_graph_function_answers_bit_for_bit_in_every_python_loader(
    words: Checkpoint, export_graph_function: Export, tmp_path: Path
) -> None:
    exported = export_graph_function(words, tmp_path / "model")
    definition = load_definition("word_graph")
    examples = definition.golden_examples()
    reference = SessionReference(definition, "average")
    reference.restore(Path(words.uri) / words.prefix)
    expected = {name: reference.answer(name, example.inputs) for name, example in examples.items()}
    reference.close()
    loaded = tf.saved_model.load(exported.uri)
    for name, example in examples.items():
        answer = loaded.signatures[name](**{k: tf.constant(v) for k, v in example.inputs.items()})
        in_session = answer_in_v1_session(exported.uri, name, example.inputs)
        for output, value in expected[name].items():
            np.testing.assert_array_equal(answer[output].numpy(), value)
            np.testing.assert_array_equal(in_session[output], value)
    layer = keras.layers.TFSMLayer(exported.uri, call_endpoint="serving_default")
    answer = layer(tf.constant(examples["serving_default"].inputs["word"]))
    np.testing.assert_array_equal(answer["value"], expected["serving_default"]["value"])


def test_export_graph_function_answers_in_the_cpp_loader(
    words: Checkpoint,
    export_graph_function: Export,
    ask_cpp_loader: Callable[..., np.ndarray],
    tmp_path: Path,
) -> None:
    exported = export_graph_function(words, tmp_path / "model")
    values = np.float32([0.2, 2.9, 7.0])
    answer = ask_cpp_loader(exported.uri, "nearest_value:0", values, "nearest_word_answer:0")
    assert answer.tolist() == [b"zero", b"three", b"many"]


def test_export_graph_function_serves_averages_where_there_are_some(
    words: Checkpoint, export_graph_function: Export, tmp_path: Path
) -> None:
    exported = export_graph_function(words, tmp_path / "model")
    source = TensorBundle(Path(words.uri) / words.prefix)
    saved = TensorBundle(Path(exported.uri) / "variables" / "variables")
    assert sorted(saved.entries) == ["dense/bias", "dense/kernel", "embedding", "seen/count"]
    for key in ("dense/bias", "dense/kernel", "embedding"):
        average = source.read_array(f"{key}/ExponentialMovingAverage")
        np.testing.assert_array_equal(saved.read_array(key), average)
        assert not np.array_equal(average, source.read_array(key))
    assert int(saved.read_array("seen/count")) == 5 * words.step


def test_export_graph_function_asset_is_found_where_the_model_is_moved(
    words: Checkpoint, export_graph_function: Export, tmp_path: Path
) -> None:
    exported = export_graph_function(words, tmp_path / "model")
    moved = shutil.move(exported.uri, tmp_path / "elsewhere")
    # Other words at the first three lines: only the copy's own file can say so.
    (Path(moved) / "assets" / "words.txt").write_text("null\none\ntwo\nthree\nfour\n")
    serve = tf.saved_model.load(str(moved)).signatures["serving_default"]
    before, unknown, known = serve(word=tf.constant(["zero", "eleven", "null"]))["value"].numpy()
    assert before == unknown
    assert known != unknown


def test_export_graph_function_reference_variables_are_served_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = draw_graph_function(definition_of(tmp_path, monkeypatch, OLD_VARIABLES))
    assert "VariableV2" in {node.op for node in drawn.meta_graph.graph_def.node}
    (tmp_path / "model").mkdir()
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "model" / "variables" / "variables"),
        tensor_names=["scale"],
        shape_and_slices=[""],
        tensors=[tf.constant([2.0, 3.0])],
    )
    from tensorflow.core.protobuf import saved_model_pb2

    saved_model = saved_model_pb2.SavedModel(saved_model_schema_version=1, meta_graphs=[drawn.meta_graph])
    (tmp_path / "model" / "saved_model.pb").write_bytes(saved_model.SerializeToString())
    answer = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"](
        x=tf.constant([[1.0, 1.0]])
    )
    np.testing.assert_array_equal(answer["y"], [[2.0, 3.0]])
