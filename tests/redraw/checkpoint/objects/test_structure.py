"""Where variables are in object graphs as Keras 2, Keras 3 and `tf.Module` write them."""

from __future__ import annotations

import pytest

from redraw.checkpoint.objects.structure import variables_by_structure
from redraw.checkpoint.objects.trackable import VARIABLE_VALUE, ObjectGraph, ObjectNode, SavedTensor
from tests.redraw.checkpoint.objects.trees import Tree, graph_of


def dense(name: str) -> Tree:
    return {"kernel": f"{name}/kernel", "bias": f"{name}/bias"}


FIRST, SECOND = dense("first"), dense("second")
DROPOUT: Tree = {"rate": {}}

KERAS_2 = {
    "layer-0": {},
    "layer-1": SECOND,
    "layer-2": FIRST,
    "layer_with_weights-1": FIRST,
    "layer_with_weights-0": SECOND,
    "variables": {"0": FIRST["kernel"], "1": FIRST["bias"]},
    "trainable_variables": {"0": FIRST["kernel"]},
    "non_trainable_variables": {},
    "keras_api": {"metrics": {}},
    "layers": {"0": SECOND, "1": FIRST},
}
KERAS_3 = {"_operations": {"10": FIRST, "9": DROPOUT, "2": SECOND, "0": {}}}
SAME_PLACES = {
    "#0/kernel": "second/kernel",
    "#0/bias": "second/bias",
    "#1/kernel": "first/kernel",
    "#1/bias": "first/bias",
}


@pytest.mark.parametrize("tree", [KERAS_2, KERAS_3], ids=["keras_2", "keras_3"])
def test_variables_of_keras_are_at_the_number_of_their_layer_among_those_with_weights(tree: Tree) -> None:
    assert variables_by_structure(graph_of(tree), 0) == SAME_PLACES


def test_variables_of_a_functional_model_that_is_wrapped_are_where_they_are_without() -> None:
    wrapped = {"_functional": KERAS_3}
    assert variables_by_structure(graph_of(wrapped), 0) == SAME_PLACES


def test_variables_of_a_module_are_under_its_attributes() -> None:
    tree = {"_hidden": {"cell": dense("cell")}, "scale": "scale"}
    assert variables_by_structure(graph_of(tree), 0) == {
        "scale": "scale",
        "hidden/cell/kernel": "cell/kernel",
        "hidden/cell/bias": "cell/bias",
    }


def test_variables_of_a_layer_in_two_places_are_under_the_first() -> None:
    shared = dense("shared")
    found = variables_by_structure(graph_of({"a": shared, "b": {"inner": shared}}), 0)
    assert found == {"a/kernel": "shared/kernel", "a/bias": "shared/bias"}


def test_variables_below_another_object_are_counted_from_there() -> None:
    graph = graph_of({"model": KERAS_3, "step": "step"})
    model = graph.child(0, "model")
    assert model is not None
    assert variables_by_structure(graph, model) == SAME_PLACES


def test_variables_of_objects_that_hold_each_other_are_found_once() -> None:
    nodes = (
        ObjectNode(children=(("_operations", 1),), tensors=(), slot_variables=()),
        ObjectNode(children=(("0", 2), ("1", 3)), tensors=(), slot_variables=()),
        ObjectNode(children=(("next", 3), ("parent", 0)), tensors=(), slot_variables=()),
        ObjectNode(children=(("back", 2), ("w", 4)), tensors=(), slot_variables=()),
        ObjectNode(children=(), tensors=(SavedTensor(VARIABLE_VALUE, "w", "w"),), slot_variables=()),
    )
    assert variables_by_structure(ObjectGraph(nodes=nodes), 0) == {"#1/w": "w"}
