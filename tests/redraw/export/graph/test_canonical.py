"""Graphs as TensorFlow makes them, and what is left of them for a server."""

from __future__ import annotations

from typing import Any

import pytest
import tensorflow as tf
from google.protobuf import text_format

from redraw.errors import InvalidDefinition
from redraw.export.graph.canonical import make_canonical
from redraw.export.graph.pruning import reachable_nodes

_SOFT = tf.compat.v1.ConfigProto(allow_soft_placement=True).SerializeToString()


def function(name: str, *nodes: str, more: str = "") -> str:
    body = "\n".join(f"node_def {{ {node} }}" for node in nodes)
    return f'function {{ signature {{ name: "{name}" {more} }} {body} }}'


def calls(name: str) -> str:
    return f'attr {{ key: "f" value {{ func {{ name: "{name}" }} }} }}'


def graph_of(nodes: str, functions: str, more: str = "") -> Any:
    return text_format.Parse(
        f"""graph_def {{ {nodes} library {{ {functions} }} }}
        signature_def {{ key: "s" value {{ outputs {{ key: "y" value {{ name: "y:0" }} }} }} }} {more}""",
        tf.compat.v1.MetaGraphDef(),
    )


# The same graph as two processes would make it: with other counters.
def counted(first: int, second: int, table: int) -> Any:
    return graph_of(
        f"""
        node {{ name: "y" op: "PartitionedCall" input: "x" input: "^t" input: "^key_value_init{table}"
          device: "/GPU:0"
          {calls(f"__inference_serve_{second}")}
          attr {{ key: "config_proto" value {{ s: "devices" }} }}
          attr {{ key: "_gradient_op_type" value {{ s: "PartitionedCall-{first}" }} }}
          attr {{ key: "_XlaMustCompile" value {{ b: true }} }} }}
        node {{ name: "x" op: "Placeholder" }}
        node {{ name: "t" op: "HashTableV2" attr {{ key: "shared_name" value {{ s: "table_{table}" }} }} }}
        node {{ name: "key_value_init{table}" op: "NoOp" input: "^t2" }}
        node {{ name: "t2" op: "HashTableV2" attr {{ key: "shared_name" value {{ s: "other_{table}" }} }} }}
        node {{ name: "t3" op: "HashTableV2" attr {{ key: "shared_name" value {{ s: "table_{table}" }} }} }}
        node {{ name: "t4" op: "HashTableV2" attr {{ key: "shared_name" value {{ s: "" }} }} }}
        node {{ name: "v" op: "VarHandleOp" attr {{ key: "shared_name" value {{ s: "table_0" }} }} }}
        node {{ name: "unused" op: "Add" }}
        """,
        function(f"__inference_unused_{first}")
        + function(
            f"__inference_serve_{second}",
            f'name: "inner" op: "StatefulPartitionedCall" {calls(f"__inference_inner_{first}")}',
            f'name: "__inference_inner_{first}_arg" op: "Identity" input: "a__inference_inner_{first}:0"',
        )
        + function(f"__inference_inner_{first}", 'name: "m" op: "Mul" experimental_debug_info {}'),
        "object_graph_def {"
        + "".join(f'nodes {{ constant {{ operation: "{name}" }} }}' for name in ("t3", "t4", "v"))
        + f"""
          concrete_functions {{ key: "__inference_serve_{second}" value {{ bound_inputs: 1 }} }}
          nodes {{ function {{ concrete_functions: "__inference_serve_{second}" }} }}
          nodes {{ bare_concrete_function {{ concrete_function_name: "__inference_inner_{first}" }} }} }}
        meta_info_def {{ stripped_op_list {{ op {{ name: "Add" }} op {{ name: "Mul" }}
          op {{ name: "NoOp" }} }} }}""",
    )


def test_make_canonical_of_one_graph_with_other_counters_is_the_same() -> None:
    graphs = [counted(3, 12, 7), counted(41, 5, 100), counted(1, 11, 1)]
    for graph in graphs:
        make_canonical(graph)
    assert graphs[0] == graphs[1] == graphs[2]


def test_make_canonical_leaves_what_a_server_needs() -> None:
    graph = counted(3, 12, 7)
    make_canonical(graph)
    nodes = {node.name: node for node in graph.graph_def.node}
    assert [*nodes] == ["y", "x", "t", "key_value_init_0", "t2", "t3", "t4", "v"]
    assert {
        name: node.attr["shared_name"].s for name, node in nodes.items() if "shared_name" in node.attr
    } == {
        "t": b"resource_0",
        "t2": b"resource_1",
        "t3": b"resource_0",
        "t4": b"",
        "v": b"table_0",
    }
    call = nodes["y"]
    assert (call.device, [*call.input], sorted(call.attr)) == (
        "",
        ["x", "^t", "^key_value_init_0"],
        ["config_proto", "f"],
    )
    assert (call.attr["config_proto"].s, call.attr["f"].func.name) == (_SOFT, "__inference_serve_0")
    serve, inner = sorted(graph.graph_def.library.function, key=lambda f: str(f.signature.name), reverse=True)
    assert (serve.signature.name, inner.signature.name) == ("__inference_serve_0", "__inference_inner_1")
    assert graph.graph_def.library.function[0] == inner
    assert serve.node_def[0].attr["f"].func.name == "__inference_inner_1"
    assert (serve.node_def[1].name, serve.node_def[1].input[0]) == (
        "__inference_inner_1_arg",
        "a__inference_inner_1:0",
    )
    assert not inner.node_def[0].HasField("experimental_debug_info")
    objects = graph.object_graph_def
    assert [*objects.concrete_functions] == ["__inference_serve_0"]
    assert objects.concrete_functions["__inference_serve_0"].bound_inputs == [1]
    assert [*objects.nodes[-2].function.concrete_functions] == ["__inference_serve_0"]
    assert objects.nodes[-1].bare_concrete_function.concrete_function_name == "__inference_inner_1"
    assert [op.name for op in graph.meta_info_def.stripped_op_list.op] == ["Mul", "NoOp"]


@pytest.mark.parametrize("op", ["PyFunc", "PyFuncStateless", "EagerPyFunc"])
def test_make_canonical_of_a_call_of_python_names_it(op: str) -> None:
    graph = graph_of(f'node {{ name: "y" op: "C" {calls("f")} }}', function("f", f'name: "p" op: "{op}"'))
    with pytest.raises(InvalidDefinition, match=rf"operation 'p'.*got a call of Python code \({op}\)"):
        make_canonical(graph)
    unused = graph_of(f'node {{ name: "y" op: "C" }} node {{ name: "p" op: "{op}" }}', "")
    make_canonical(unused)
    assert [node.name for node in unused.graph_def.node] == ["y"]


def test_make_canonical_renames_arguments_after_their_function() -> None:
    graph = graph_of(
        f'node {{ name: "y" op: "C" {calls("f_9")} }}',
        function(
            "f_9",
            more="""input_arg { name: "f_9_x" } output_arg { name: "y" } control_output: "f_9_done" }
            ret { key: "y" value: "f_9_x" } control_ret { key: "f_9_done" value: "n" }
            attr { key: "forward_function_name" value { s: "f_8" } }
            attr { key: "api_implements" value { s: "a" } }
            arg_attr { key: 0 value { attr { key: "_user_specified_name" value { s: "f_9_x" } } } }
            arg_attr { key: 1 value { attr { key: "_user_specified_name" value { s: "17" } } } }
            arg_attr { key: 2 value { attr { key: "other" value { s: "f_9" } } }""",
        ),
    )
    make_canonical(graph)
    (made,) = graph.graph_def.library.function
    assert (made.signature.name, made.signature.input_arg[0].name) == ("f_0", "f_0_x")
    assert ([*made.signature.control_output], dict(made.control_ret)) == (["f_0_done"], {"f_0_done": "n"})
    assert dict(made.ret) == {"y": "f_0_x"}
    assert [*made.attr] == ["api_implements"]
    named = {number: dict(argument.attr) for number, argument in sorted(made.arg_attr.items())}
    assert named[0]["_user_specified_name"].s == b"f_0_x"
    assert (named[1], [*named[2]]) == ({}, ["other"])


def test_reachable_nodes_are_all_that_tensors_need() -> None:
    graph = graph_of(
        """node { name: "y" op: "A" input: "b:1" input: "^c" } node { name: "b" op: "B" input: "y" }
        node { name: "c" op: "C" } node { name: "d" op: "D" input: "y" }""",
        "",
    ).graph_def
    assert reachable_nodes(graph, ["y:0", "", "y"]) == {"y", "b", "c"}
    assert reachable_nodes(graph, ["^d"]) == {"y", "b", "c", "d"}
    assert reachable_nodes(graph, [""]) == set()
