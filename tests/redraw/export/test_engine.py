import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.definition import Mode
from redraw.definition.registry import load_definition
from redraw.errors import InvalidDefinition
from redraw.export.graph.drawing import draw_graph
from redraw.records import Checkpoint, ExportedModel

MODELS = ["every_layer", "every_module"]

MakeCheckpoint = Callable[[str], Checkpoint]
Exporter = Callable[..., ExportedModel]


def read_graph(exported: ExportedModel) -> Any:
    content = (Path(exported.uri) / "saved_model.pb").read_bytes()
    (graph,) = saved_model_pb2.SavedModel.FromString(content).meta_graphs
    return graph


@pytest.mark.parametrize(
    ("model", "signature"),
    [("every_layer", "serving_default"), ("every_layer", "sums"), ("every_module", "serving_default")],
)
def test_export_loaded_anywhere_answers_bit_for_bit_as_restored(
    model: str,
    signature: str,
    make_checkpoint: MakeCheckpoint,
    export: Exporter,
    load: Callable[..., Any],
    restore: Callable[..., Any],
    ask: Callable[..., Any],
) -> None:
    checkpoint = make_checkpoint(model)
    exported = export(checkpoint)
    answered = load(exported.uri, signature, ask(load_definition(model), signature))
    expected = restore(checkpoint, signature)
    assert set(answered) == set(expected)
    for name, want in expected.items():
        np.testing.assert_array_equal(answered[name], want)


@pytest.mark.parametrize("model", MODELS)
def test_export_as_a_keras_layer_answers_bit_for_bit_as_restored(
    model: str,
    make_checkpoint: MakeCheckpoint,
    export: Exporter,
    restore: Callable[..., Any],
    ask: Callable[..., Any],
) -> None:
    checkpoint = make_checkpoint(model)
    layer = keras.layers.TFSMLayer(export(checkpoint).uri, call_endpoint="serving_default")
    (given,) = ask(load_definition(model), "serving_default").values()
    expected = restore(checkpoint, "serving_default")
    np.testing.assert_array_equal(layer(given)["y"], expected["y"])


def test_export_assets_are_found_when_the_original_is_gone(
    make_checkpoint: MakeCheckpoint, export: Exporter, samples: Path, load: Callable[..., Any]
) -> None:
    exported = export(make_checkpoint("every_module"))
    known = load(exported.uri, "serving_default", {"word": tf.constant(["red", "blue"])})
    moved = Path(exported.uri).rename(samples.parent / "elsewhere")
    content = samples.read_text()
    samples.unlink()
    assert (moved / "assets" / samples.name).read_text() == content
    again = load(str(moved), "serving_default", {"word": tf.constant(["red", "blue"])})
    np.testing.assert_array_equal(again["y"], known["y"])


@pytest.mark.parametrize("model", MODELS)
def test_export_holds_what_signatures_reach_and_nothing_else(
    model: str, make_checkpoint: MakeCheckpoint, export: Exporter
) -> None:
    exported = export(make_checkpoint(model))
    graph = read_graph(exported)
    variables = [
        node.variable for node in graph.object_graph_def.nodes if node.WhichOneof("kind") == "variable"
    ]
    bundle = TensorBundle(Path(exported.uri) / "variables" / "variables")
    constants = 1 if model == "every_module" else 0
    assert len(variables) == exported.ledger.served + constants == len(bundle.entries) - 1
    names = " ".join(variable.name for variable in variables)
    assert not any(word in names for word in ("seed", "adam", "unused", "steps", "normal/count"))
    assert exported.ledger.dropped["reached by no signature"] == 2
    called = called_functions(graph)
    assert {function.signature.name for function in graph.graph_def.library.function} == called


def called_functions(graph: Any) -> set[str]:
    functions = {function.signature.name: function for function in graph.graph_def.library.function}
    found = set(graph.object_graph_def.concrete_functions)
    groups = [graph.graph_def.node, *(functions[name].node_def for name in found)]
    for nodes in groups:
        for node in nodes:
            for value in node.attr.values():
                for name in {value.func.name, *(function.name for function in value.list.func)} & set(
                    functions
                ):
                    if name not in found:
                        found.add(name)
                        groups.append(functions[name].node_def)
    return found


@pytest.mark.parametrize("model", MODELS)
def test_export_tells_nothing_of_the_machine(
    model: str, make_checkpoint: MakeCheckpoint, export: Exporter, samples: Path
) -> None:
    exported = export(make_checkpoint(model))
    for path in Path(exported.uri).rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        for word in (
            str(samples.parent),
            str(Path.home()),
            str(Path.cwd()),
            "/device:",
            "/job:",
            "CPU",
            "GPU",
        ):
            assert word.encode() not in content, (path.name, word)


class Table(tf.Module):
    def __init__(self, rows: int) -> None:
        super().__init__()
        self.values = tf.Variable(lambda: tf.zeros([rows, 64]))

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return tf.gather(self.values, tf.cast(x[:, 0], tf.int64))[:, :1]


@pytest.mark.parametrize("model", ["keras", "module"])
def test_draw_model_larger_than_any_memory_allocates_nothing(model: str, samples: Path) -> None:
    from sample_models.line_module import LineDefinition

    class Huge(LineDefinition):
        def build(self, mode: Mode) -> Any:
            rows = 10**11
            if model == "keras":
                x = keras.Input([1])
                return keras.Model(x, keras.layers.Embedding(rows, 64, name="table")(x)[:, 0, :1])
            return Table(rows)

        def serve(self, network: Any, signature: str, inputs: Any) -> Any:
            return {"y": network(inputs["x"])}

    drawn = draw_graph(Huge())
    assert [variable.shape for variable in drawn.variables] == [(10**11, 64)]


def test_draw_layers_with_a_random_state_leaves_it_out(samples: Path) -> None:
    from sample_models.line_module import LineDefinition

    class Noisy(LineDefinition):
        def build(self, mode: Mode) -> Any:
            x = keras.Input([1])
            y = keras.layers.Dropout(0.5, name="drop")(keras.layers.GaussianNoise(0.1, name="noise")(x))
            return keras.Model(x, keras.layers.Dense(1, name="answer")(y))

        def serve(self, network: Any, signature: str, inputs: Any) -> Any:
            return {"y": network(inputs["x"], training=False)}

    drawn = draw_graph(Noisy())
    assert [variable.name for variable in drawn.variables] == ["answer/bias", "answer/kernel"]
    assert drawn.unreached == ()
    functions = drawn.meta_graph.graph_def.library.function
    operations = {node.op for function in functions for node in function.node_def}
    assert "MatMul" in operations
    assert not [name for name in operations if "Random" in name]


def test_draw_serve_with_python_conditions_over_tensors_converts_them(
    samples: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from sample_models.line_module import LineDefinition

    class Clipped(LineDefinition):
        def serve(self, network: Any, signature: str, inputs: Any) -> Any:
            x = inputs["x"]
            if tf.reduce_max(x) > 1:
                x = x / tf.reduce_max(x)
            return {"y": network(x)}

    with caplog.at_level(logging.INFO, logger="redraw"):
        drawn = draw_graph(Clipped())
        again = draw_graph(Clipped())
    functions = drawn.meta_graph.graph_def.library.function
    assert {"If", "StatelessIf"} & {node.op for function in functions for node in function.node_def}
    assert drawn.meta_graph == again.meta_graph
    assert any("with autograph" in record.getMessage() for record in caplog.records)


def test_export_says_what_it_had_to_allocate_and_why(
    make_checkpoint: MakeCheckpoint, export: Exporter, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="redraw.export"):
        export(make_checkpoint("every_layer"))
        export(make_checkpoint("every_module"), "module")
    logged = [record.getMessage() for record in caplog.records if "allocated" in record.getMessage()]
    assert any("wave: allocated, because its initial value cannot be traced" in line for line in logged)
    assert any("allocated, because its value is read while drawing" in line for line in logged)
    assert not any("kernel" in line or "embeddings" in line for line in logged)


def test_export_fingerprint_is_one_that_tensorflow_reads(
    make_checkpoint: MakeCheckpoint, export: Exporter
) -> None:
    exported = export(make_checkpoint("every_module"))
    fingerprint = tf.saved_model.experimental.read_fingerprint(exported.uri)
    assert fingerprint.saved_model_checksum
    assert fingerprint.checkpoint_hash
    assert fingerprint.singleprint()


class Unservable(tf.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        hidden = tf.Variable([[1.0]])
        self.hidden = lambda: hidden
        self.table = tf.lookup.experimental.MutableHashTable(tf.int64, tf.float32, 0.0)
        if kind == "shape":
            self.rows = tf.Variable([[1.0]], shape=[None, 1])

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        if self.kind == "python":
            return tf.ensure_shape(tf.numpy_function(lambda given: given, [x], tf.float32), [None, 1])
        if self.kind == "table":
            return self.table.lookup(tf.cast(x, tf.int64))
        return x @ (self.rows if self.kind == "shape" else self.hidden())


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("python", "got a call of Python"),
        ("table", "signatures: expected only variables and tables with an initializer"),
        ("hidden", "which the network does not track"),
        ("shape", "expected a fully defined shape"),
    ],
)
def test_draw_what_no_server_can_have_is_refused(kind: str, message: str, samples: Path) -> None:
    from sample_models.line_module import LineDefinition

    class Refused(LineDefinition):
        def build(self, mode: Mode) -> Any:
            return Unservable(kind)

    with pytest.raises(InvalidDefinition, match=message):
        draw_graph(Refused())
