from __future__ import annotations

from tensorflow.core.framework.node_def_pb2 import NodeDef

from redraw.recorded.graph import Graph


def node(name: str, op: str, *inputs: str) -> NodeDef:
    return NodeDef(name=name, op=op, input=inputs)


def test_reach_of_a_constant_inside_of_a_loop_includes_what_places_it_there() -> None:
    """A v1 loop gives its constants a control input, perhaps of a node several steps into the loop."""
    nodes = [
        node("x", "Placeholder"),
        node("enter", "Enter", "x"),
        node("next", "Identity", "enter"),
        node("deep", "Identity", "next"),
        node("one", "Const", "^deep"),
        node("exit", "Exit", "next"),
        node("after", "Identity", "exit"),
        node("two", "Const", "^after"),
    ]
    graph = Graph(nodes, {}, "a test")
    assert list(graph.reach(["one:0"])) == ["one", "deep", "next", "enter", "x"]
    assert list(graph.reach(["two:0"])) == ["two"]
