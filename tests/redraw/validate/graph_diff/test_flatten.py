"""Graphs with functions, loops and branches, opened up; the messages are tensorboard's: no TensorFlow."""

from __future__ import annotations

from typing import Any

import pytest
from tensorboard.compat.proto.graph_pb2 import GraphDef

from redraw.validate.graph_diff.flatten import flatten_graph
from redraw.validate.outcome import CannotRun


def node(container: Any, name: str, op: str, *inputs: str, calls: str = "") -> None:
    added = container.add(name=name, op=op, input=inputs)
    if calls:
        added.attr["f"].func.name = calls


def function(graph: GraphDef, name: str, arguments: list[str], results: dict[str, str]) -> Any:
    made = graph.library.function.add()
    made.signature.name = name
    for argument in arguments:
        made.signature.input_arg.add(name=argument)
    for result, source in results.items():
        made.signature.output_arg.add(name=result)
        made.ret[result] = source
    return made


def sources(graph: GraphDef, *ends: str, inputs: tuple[str, ...] = ()) -> dict[str, list[str]]:
    flat = flatten_graph(graph, ends, inputs)
    return {one.name: sorted(source.name for source in one.sources) for one in flat.operations}


def two_answers() -> GraphDef:
    graph = GraphDef()
    node(graph.node, "x", "Placeholder")
    node(graph.node, "call", "PartitionedCall", "x", calls="both")
    node(graph.node, "a/first", "Relu", "call")
    node(graph.node, "a/second", "Tanh", "call:1")
    both = function(graph, "both", ["x"], {"left": "net/double:z:0", "right": "net/half:z:0"})
    node(both.node_def, "net/double", "Mul", "x")
    node(both.node_def, "net/half", "RealDiv", "x")
    return graph


def test_flatten_call_with_two_answers_leads_each_to_its_own_user() -> None:
    assert sources(two_answers(), "a/first", "a/second", inputs=("x",)) == {
        "x": [],
        "net/double": ["x"],
        "net/half": ["x"],
        "a/first": ["net/double"],
        "a/second": ["net/half"],
    }


def test_flatten_ends_at_a_calls_answers_says_what_computes_each() -> None:
    flat = flatten_graph(two_answers(), ["call:0", "call:1"])

    assert [[one.name for one in end] for end in flat.ends] == [["net/double"], ["net/half"]]


def test_flatten_without_inputs_named_leaves_placeholders_out() -> None:
    assert "x" not in sources(two_answers(), "a/first")


def test_flatten_loop_puts_its_body_below_its_own_name() -> None:
    graph = GraphDef()
    node(graph.node, "start", "Fill")
    node(graph.node, "map/while", "While", "start", calls="body")
    body = function(graph, "body", ["value"], {"value": "map/while/step:z:0"})
    node(body.node_def, "map/while/step", "AddV2", "value")
    node(body.node_def, "unused", "Exp", "value")

    assert sources(graph, "map/while") == {
        "start": [],
        "map/while": ["map/while/step", "start"],
        "map/while/step": ["start"],
    }


def test_flatten_control_flow_of_version_1_with_a_cycle_ends() -> None:
    graph = GraphDef()
    node(graph.node, "enter", "Enter")
    node(graph.node, "merge", "Merge", "enter", "next")
    node(graph.node, "next", "NextIteration", "merge")

    assert sources(graph, "next")["merge"] == ["enter", "next"]


def test_flatten_what_is_only_waited_for_is_there_and_no_source() -> None:
    graph = GraphDef()
    node(graph.node, "update", "AssignVariableOp")
    node(graph.node, "answer", "Relu", "^update")

    assert sources(graph, "answer") == {"answer": [], "update": []}


def test_flatten_function_that_calls_itself_cannot_be_done() -> None:
    graph = GraphDef()
    node(graph.node, "call", "PartitionedCall", calls="loop")
    loop = function(graph, "loop", [], {"out": "again:output:0"})
    node(loop.node_def, "again", "PartitionedCall", calls="loop")

    with pytest.raises(CannotRun, match="'loop' calls itself"):
        flatten_graph(graph, ["call"])


def test_flatten_functions_that_double_without_an_end_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redraw.validate.graph_diff.flatten._MOST_OPERATIONS", 1000)
    graph = GraphDef()
    node(graph.node, "call", "PartitionedCall", calls="f0")
    for level in range(30):
        twice = function(graph, f"f{level}", [], {"out": "b:output:0"})
        node(twice.node_def, "a", "PartitionedCall", calls=f"f{level + 1}")
        node(twice.node_def, "b", "PartitionedCall", "a:output:0", calls=f"f{level + 1}")
    node(function(graph, "f30", [], {"out": "leaf:z:0"}).node_def, "leaf", "Relu")

    with pytest.raises(CannotRun, match="more than 1000 operations"):
        flatten_graph(graph, ["call"])
