"""No model is loaded that holds an operation which reaches outside of it, wherever the operation is."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from redraw.serving import LoadFailed, OperationsRefused, ServingProcess
from tests.hostile.models import EFFECTS, Place, save_model


@pytest.fixture(scope="module")
def serving() -> ServingProcess:
    with ServingProcess() as one:
        yield one


def changed(folder: Path, change: Callable[[SavedModel], None]) -> Path:
    path = folder / "saved_model.pb"
    model = SavedModel.FromString(path.read_bytes())
    change(model.meta_graphs[0])
    path.write_bytes(model.SerializeToString())
    return folder


# Every SavedModel's saver holds these in functions that nothing runs.
SAVERS = {"SaveV2", "MergeV2Checkpoints", "RestoreV2"}


@pytest.mark.parametrize(
    ("op", "place"),
    [(op, place) for op in EFFECTS for place in get_args(Place) if op not in SAVERS or place != "library"],
)
def test_load_operation_that_reaches_outside_is_refused_by_name(
    op: str, place: Place, tmp_path: Path, serving: ServingProcess
) -> None:
    target = tmp_path / "target"
    folder = save_model(tmp_path / "model", lambda: EFFECTS[op](str(target)), place)
    with pytest.raises(OperationsRefused, match=rf"reaches {op} '") as refused:
        serving.load(folder, declared=lambda: (op,))
    if place in ("signature", "initialization"):
        said = {"signature": "signature 'serving_default'"}.get(place, f"the {place}")
        assert f"{said} reaches {op} '" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not target.exists()


def test_load_model_without_effects_is_taken_and_answers(tmp_path: Path, serving: ServingProcess) -> None:
    model = serving.load(save_model(tmp_path / "model", tf.no_op, "signature"))
    assert model.answer("serving_default", {"x": np.float32([1.5])})["y"].tolist() == [3.0]


@pytest.mark.parametrize(
    ("op", "declared", "refused"),
    [
        ("PrintV2", (), True),
        ("PrintV2", ("PrintV2",), False),
        ("ReadFile", ("ReadFile",), True),
        ("Timestamp", (), False),
    ],
)
def test_load_declared_operation_is_taken_if_it_stays_within(
    op: str, declared: tuple[str, ...], refused: bool, tmp_path: Path, serving: ServingProcess
) -> None:
    draw = {
        "PrintV2": lambda: tf.raw_ops.PrintV2(input="x", output_stream="stderr"),
        "ReadFile": lambda: tf.raw_ops.ReadFile(filename="/etc/hostname"),
        "Timestamp": tf.raw_ops.Timestamp,
    }[op]
    folder = save_model(tmp_path / "model", draw, "signature")
    if refused:
        with pytest.raises(OperationsRefused, match=op):
            serving.load(folder, declared=lambda: declared)
    else:
        serving.load(folder, declared=lambda: declared).close()


def test_load_custom_operation_is_refused(tmp_path: Path, serving: ServingProcess) -> None:
    def rename(graph: object) -> None:
        (node,) = (node for node in graph.graph_def.node if node.name == "mul")
        node.op = "AcmeScale"

    folder = changed(save_model(tmp_path / "model", tf.no_op, "signature"), rename)
    with pytest.raises(
        OperationsRefused, match="AcmeScale 'mul': it is not one of TensorFlow's own operations"
    ):
        serving.load(folder, declared=lambda: ("AcmeScale",))


def restore_elsewhere(graph: object) -> None:
    """The variables come from another model's file, whatever path the loader feeds."""
    node = graph.graph_def.node.add(name="elsewhere", op="Const")
    node.attr["dtype"].type = 7
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(["/srv/other/variables/variables"] * 1))
    for node in graph.graph_def.node:
        if node.op == "RestoreV2":
            node.input[0] = "elsewhere"


def answer_by_saving(graph: object) -> None:
    """The signature's answer is the saver's: each request writes a checkpoint."""
    graph.signature_def["serving_default"].outputs["y"].name = graph.saver_def.save_tensor_name


def call_another_process(graph: object) -> None:
    """Each request speaks to another process."""
    graph.graph_def.node.add(name="call", op="RpcClient")
    (answer,) = (node for node in graph.graph_def.node if node.name == "y")
    answer.input.append("^call")


def nameless_function(graph: object) -> None:
    """A function without a name would stand for the graph itself in a search."""
    graph.graph_def.library.function.add().signature.name = ""


def asset_elsewhere(graph: object) -> None:
    """The loader feeds the path of the asset: it must lie in the folder of assets."""
    asset = graph.asset_file_def.add(filename="../../../etc/passwd")
    asset.tensor_info.name = "x:0"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (restore_elsewhere, "the restore function reaches RestoreV2"),
        (answer_by_saving, "signature 'serving_default' reaches SaveV2"),
        (
            call_another_process,
            "signature 'serving_default' reaches RpcClient 'call': it communicates with other",
        ),
        (nameless_function, "a function without a name"),
        (asset_elsewhere, re.escape("asset '../../../etc/passwd' is not a file in the model's folder")),
    ],
)
def test_load_graph_bent_elsewhere_is_refused(
    change: Callable[[object], None], message: str, tmp_path: Path, serving: ServingProcess
) -> None:
    folder = changed(save_model(tmp_path / "model", tf.no_op, "signature"), change)
    with pytest.raises(OperationsRefused, match=message):
        serving.load(folder)


@pytest.mark.parametrize("name", ["saved_model.pbtxt", "saved_model.cpb"])
def test_load_second_graph_in_another_form_is_refused(
    name: str, tmp_path: Path, serving: ServingProcess
) -> None:
    folder = save_model(tmp_path / "model", tf.no_op, "signature")
    (folder / name).touch()
    with pytest.raises(OperationsRefused, match=f"got {name} too"):
        serving.load(folder)


def test_load_bytes_that_are_no_graph_fails_in_one_line(tmp_path: Path, serving: ServingProcess) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"\xff" * 100)
    with pytest.raises(LoadFailed, match=r"expected a SavedModel, got .*saved_model\.pb"):
        serving.load(tmp_path)


class Vocabulary(tf.Module):
    """Looks words up in a table, and gives back a file: both assets, as TensorFlow saves them."""

    def __init__(self, words: Path) -> None:
        super().__init__()
        self.asset = tf.saved_model.Asset(str(words))
        self.table = tf.lookup.StaticVocabularyTable(
            tf.lookup.TextFileInitializer(
                str(words),
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            ),
            1,
        )

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="x")])
    def serve(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": self.table.lookup(x), "file": tf.io.read_file(self.asset.asset_path)}


def test_load_table_and_file_of_declared_assets_are_taken(tmp_path: Path, serving: ServingProcess) -> None:
    words = tmp_path / "words.txt"
    words.write_text("a\nb\n")
    module = Vocabulary(words)
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.serve)
    words.unlink()
    model = serving.load(tmp_path / "model")
    answer = model.answer("serving_default", {"x": [b"b"]})
    assert (answer["y"].tolist(), answer["file"].tolist()) == ([1], b"a\nb\n")


def test_load_asset_path_changed_by_a_loop_is_refused(tmp_path: Path, serving: ServingProcess) -> None:
    words = tmp_path / "words.txt"
    words.write_text("a\nb\n")

    class Looping(Vocabulary):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="x")])
        def serve(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            def read(path: tf.Tensor, _: tf.Tensor, turn: tf.Tensor) -> tuple[tf.Tensor, ...]:
                return tf.constant("/etc/passwd"), tf.io.read_file(path), turn + 1

            start = (self.asset.asset_path, tf.constant(""), 0)
            return {"y": tf.while_loop(lambda _p, _f, turn: turn < 2, read, start)[1]}

    module = Looping(words)
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.serve)
    with pytest.raises(OperationsRefused, match="reaches ReadFile"):
        serving.load(tmp_path / "model")
