"""The two graphs of real definitions: drawn for training, and exported or drawn with a defect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import tensorflow as tf

from redraw.definition import Mode, ModelDefinition
from redraw.export.graph.drawing import draw_graph
from redraw.models.digits_graph import DigitsGraph
from redraw.models.mnist import Mnist
from redraw.validate.graph_diff.compare import compare_graphs
from redraw.validate.graph_diff.comparison import Comparison
from redraw.validate.graph_diff.serving_graph import read_signatures
from redraw.validate.graph_diff.training import draw_training_graph
from redraw.validate.outcome import CannotRun


class LiveDropout(Mnist):
    def serve(self, network: Any, signature: str, inputs: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        def dropping(image: tf.Tensor, training: bool) -> tf.Tensor:
            return tf.nn.dropout(network(image, training=training), 0.3)

        return super().serve(dropping, signature, inputs)


class LiveDropoutInGraph(DigitsGraph):
    def serve(self, network: Any, signature: str, inputs: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        return super().serve(self.build(Mode.TRAIN), signature, inputs)


class Unreachable(Mnist):
    def training_data(self) -> tf.data.Dataset:
        raise FileNotFoundError("/mnt/gone/digits.npz")


def compared(definition: ModelDefinition, drawn_by: ModelDefinition | None = None) -> Comparison:
    training = draw_training_graph(definition)
    signatures = read_signatures(draw_graph(drawn_by or definition).meta_graph)
    return compare_graphs(training, signatures, definition.stateful_ops)


@pytest.fixture(scope="module", params=[Mnist, DigitsGraph], ids=["keras", "graph_function"])
def comparison(request: pytest.FixtureRequest) -> Comparison:
    return compared(request.param())


def test_compare_removes_what_is_trainings_alone_by_kind(comparison: Comparison) -> None:
    removed = comparison.by_kind("removed")

    assert comparison.by_kind("left") == {}
    assert {"dropout", "input pipeline", "batch statistics", "loss", "gradient", "optimizer"} <= set(removed)
    assert {"moving average", "evaluation"} <= set(removed)
    assert "network" not in removed


def test_compare_shares_every_layer_whole_between_both(comparison: Comparison) -> None:
    shared = {part.scope.removeprefix("mnist/"): part for part in comparison.serving if part.fate == "shared"}

    assert {"conv_1", "conv_2", "dense", "logits"} <= set(shared)
    assert shared["conv_1"].operations["Conv2D"] == 1
    assert "dropout" not in shared
    assert comparison.by_kind("shared") == {"network": comparison.count("shared")}


def test_compare_names_placeholders_and_where_they_lead(comparison: Comparison) -> None:
    assert [(one.name, one.spec) for one in comparison.placeholders] == [
        ("image", "uint8 [None, 28, 28]"),
        ("png", "string [None]"),
    ]
    assert comparison.training_inputs == ("features: float32 [None, 28, 28, 1]",)
    reached = {":in/png"}
    for _ in comparison.serving_flow:
        reached |= {user for source, user in comparison.serving_flow if source in reached}
    assert {":out/digit", ":out/probabilities"} <= reached


@pytest.mark.parametrize(("definition", "defect"), [(Mnist, LiveDropout), (DigitsGraph, LiveDropoutInGraph)])
def test_compare_with_dropout_alive_names_its_scope_and_operations(
    definition: type[ModelDefinition], defect: type[ModelDefinition]
) -> None:
    left = [part for part in compared(definition(), defect()).serving if part.fate == "left"]

    dropout = next(part for part in left if part.kind == "dropout")
    assert dropout.scope == "dropout"
    assert any("Random" in name for name in dropout.operations)


def test_draw_training_graph_without_its_data_says_why() -> None:
    with pytest.raises(CannotRun, match="FileNotFoundError: /mnt/gone"):
        draw_training_graph(Unreachable())


@pytest.mark.parametrize("error", [SystemExit(3), BaseException("odd")])
def test_draw_training_graph_of_code_that_ends_the_process_says_so(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends(definition: ModelDefinition) -> None:
        raise error

    monkeypatch.setattr(Mnist, "evaluation_data", ends)
    with pytest.raises(CannotRun, match=f"the training graph cannot be built: {type(error).__name__}: "):
        draw_training_graph(Mnist())


def test_draw_training_graph_gives_no_variable_memory(caplog: pytest.LogCaptureFixture) -> None:
    draw_training_graph(Mnist())

    assert "allocated" not in caplog.text


def test_draw_training_graph_twice_gives_the_same_operations() -> None:
    def drawn() -> list[str]:
        operations = draw_training_graph(DigitsGraph()).operations
        return sorted(f"{kind.value} {one.type}" for one, kind in operations)

    assert drawn() == drawn()
