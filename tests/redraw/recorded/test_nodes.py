"""Functions that nodes call, and graphs that no program records."""

from __future__ import annotations

import pytest
from tensorflow.core.framework import function_pb2, node_def_pb2

from redraw.errors import InvalidDefinition
from redraw.recorded.graph import Graph
from redraw.recorded.nodes import follow_calls, node_name
from redraw.recorded.sound import MOST_NESTED, demand_sound


def node(name: str, op: str, *inputs: str) -> node_def_pb2.NodeDef:
    return node_def_pb2.NodeDef(name=name, op=op, input=inputs)


def calling(*functions: str, branches: tuple[str, ...] = ()) -> node_def_pb2.NodeDef:
    """A node with functions as attributes, and with others in a list."""
    made = node("call", "Call")
    for number, function in enumerate(functions):
        made.attr[f"f{number}"].func.name = function
    for branch in branches:
        made.attr["branches"].list.func.add(name=branch)
    made.attr["also"].i = 1
    return made


def function(*nodes: node_def_pb2.NodeDef) -> function_pb2.FunctionDef:
    return function_pb2.FunctionDef(node_def=nodes)


@pytest.mark.parametrize("tensor", ["a/b", "a/b:0", "a/b:12", "^a/b", "a/b:output:0"])
def test_node_name_of_any_reference_is_its_node(tensor: str) -> None:
    assert node_name(tensor) == "a/b"


def test_follow_calls_gives_each_function_once_in_the_order_in_which_it_is_found() -> None:
    functions = {
        "unused": function(),
        "last": function(calling("first")),
        "deep": function(calling("last"), node("again", "deep")),
        "first": function(node("direct", "deep"), calling("third")),
        "second": function(calling("absent")),
        "third": function(),
        "elsewhere": function(calling("deep")),
    }
    nodes = [calling("first", branches=("second", "first")), node("x", "Identity")]
    found = follow_calls(nodes, functions, ["elsewhere", "absent", "second"])
    # Attributes in the order of their names: a list `branches` before `f0`.
    assert found == ["second", "first", "elsewhere", "deep", "third", "last"]
    assert follow_calls([], functions) == []


LOOP = [
    node("start", "Const"),
    node("enter", "Enter", "start"),
    node("merge", "Merge", "enter", "next"),
    node("next", "NextIteration", "merge"),
    node("after", "Identity", "merge", "^next"),
]


def test_demand_sound_accepts_a_loop_and_the_deepest_functions() -> None:
    demand_sound(Graph(LOOP, {}, "a test" + ", function f" * MOST_NESTED))
    demand_sound(Graph([], {}, "a test"))


@pytest.mark.parametrize(
    ("nodes", "nested", "message"),
    [
        ([], MOST_NESTED + 1, "functions nested more than 40 deep"),
        ([*LOOP, node("x", "Identity", "gone:1")], 0, "'x', which reads 'gone', which does not exist"),
        ([*LOOP, node("x", "NoOp", "^gone")], 0, "'x', which reads 'gone', which does not exist"),
        ([*LOOP, node("x", "Identity")], 0, r"'x' \(Identity\) with 0 inputs instead of 1"),
        ([*LOOP, node("x", "Neg", "start", "start")], 0, r"'x' \(Neg\) with 2 inputs instead of 1"),
        ([*LOOP, node("x", "Mul", "merge", "x")], 0, "'x', which depends on its own result"),
        (
            [*LOOP, node("x", "Mul", "start", "y"), node("y", "Neg", "x")],
            0,
            "'x', which depends on its own result",
        ),
    ],
)
def test_demand_sound_refuses_what_no_program_records(
    nodes: list[node_def_pb2.NodeDef], nested: int, message: str
) -> None:
    with pytest.raises(InvalidDefinition, match=message):
        demand_sound(Graph(nodes, {}, "a test" + ", function f" * nested))


def test_demand_sound_accepts_any_number_of_inputs_where_an_operation_takes_any() -> None:
    packs = [node("a", "Const"), node("x", "Pack", "a", "a", "a"), node("y", "Theirs", "a", "x")]
    demand_sound(Graph([*packs, node("z", "Mul", "x", "x")], {}, "a test"))
