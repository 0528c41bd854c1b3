"""Decide whether a model's operations allow loading it: they must touch nothing outside of their session.

The check covers all operations that signatures, initialization and restoring run, and all functions of the
library. It allows TensorFlow's own operations by the rules of `op_groups`, restoring the model's own
variables, and reading the files that the export declares as assets. It also allows operations in the
definition's `stateful_ops`, unless they reach outside of the session. The model's own claims do not count.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from redraw.recorded.nodes import node_name
from redraw.serving.errors import OperationsRefused
from redraw.serving.graph.op_groups import OpGroup, find_group, runs_on_host
from redraw.serving.graph.reachable import MAIN, Place, Subgraph
from redraw.serving.graph.runtimes.op_lists import read_releases
from redraw.serving.graph.serving_graph import ServingGraph, is_stateful

if TYPE_CHECKING:
    from tensorboard.compat.proto.node_def_pb2 import NodeDef

# Operations that may read an asset, to the number of the input that names the file.
_FILE_INPUTS = {"ReadFile": 0, "InitializeTableFromTextFile": 1, "InitializeTableFromTextFileV2": 1}
# A saver's operations: every SavedModel has them, and nothing that a server runs may need them.
_SAVER = frozenset({"SaveV2", "MergeV2Checkpoints", "RestoreV2"})
_RESTORE = "RestoreV2"
# Groups that touch only the session's memory; the check `inference-ops` decides about them.
_WITHIN = frozenset({"optimizer", "random", "gradient", "update"})
# Groups that reach outside of the session.
_OUTSIDE = frozenset({"save", "print", "summary", "iterator"})
# Stateful within the session; `repeatable` and `variables-unchanged` check their effect on answers.
_HARMLESS = re.compile(
    "^(Timestamp|TemporaryVariable|Stack((Close|Pop|Push)?V2)?|BoostedTrees.*|IsBoostedTrees.*"
    "|AnonymousMutable.*Table.*)$"
)
# Operations that read or write a file, depending on an attribute, and its values that do not.
_HARMLESS_VALUES: dict[str, tuple[str, tuple[bytes, ...]]] = {
    "PrintV2": ("output_stream", (b"stderr", b"stdout", b"log(")),
    "DecodeProtoV2": ("descriptor_source", (b"local://", b"bytes://")),
    "EncodeProto": ("descriptor_source", (b"local://", b"bytes://")),
    "FixedUnigramCandidateSampler": ("vocab_file", ()),
}
_MOST_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class RefusedOp:
    """An operation that may not be loaded.

    Attributes:
        op: Its type.
        place: Its node.
        text: What needs it and what it does, as a clause.
        known: Whether it is one of TensorFlow's own.
        declarable: Whether the definition's `stateful_ops` may allow it.
        of_signature: Whether a signature needs it.
    """

    op: str
    place: Place
    text: str
    known: bool = True
    declarable: bool = False
    of_signature: bool = False


def demand_allowed(graph: ServingGraph, declared: Callable[[], Collection[str]] = tuple) -> None:
    """Demand that a model has only allowed operations.

    Args:
        graph: The graph to load.
        declared: Returns the definition's `stateful_ops`; called only if an operation must be declared.

    Raises:
        OperationsRefused: The model has other operations; the message names them.
    """
    refused = list(find_refused(graph))
    if any(operation.declarable for operation in refused):
        allowed = set(declared())
        refused = [op for op in refused if not (op.declarable and op.op in allowed)]
    problems = [*_asset_problems(graph), *(operation.text for operation in refused)]
    if problems:
        more = len(problems) - _MOST_NAMED
        raise OperationsRefused(
            "the model is not loaded, because it has operations that reach outside of the model: "
            + "; ".join(problems[:_MOST_NAMED])
            + (f"; and {more} more" if more > 0 else "")
        )


def find_refused(graph: ServingGraph) -> Iterator[RefusedOp]:
    """Every operation of a model that is not allowed, those that run first."""
    seen = set[Place]()
    for user, subgraph in _running_parts(graph):
        for place, node in sorted(subgraph.nodes.items(), key=lambda item: str(item[0])):
            if place not in seen and (refused := _refusal(graph, user, subgraph, place, node)):
                seen.add(place)
                yield refused
    runs = {place for _, subgraph in _running_parts(graph) for place in subgraph.nodes}
    for function in graph.meta.graph_def.library.function:
        name = function.signature.name
        if not name:
            yield RefusedOp(op="", place=Place(MAIN, ""), text="the library holds a function without a name")
        for node in function.node_def:
            place = Place(name, node.name)
            group = None if place in runs or node.op in _SAVER else _group_of(graph, node)
            if group is not None:
                yield _refused("the library", place, node, group)


def reaches_outside(node: NodeDef) -> OpGroup | None:
    """Why an operation touches more than its session, such as files; None if it does not."""
    if _harmful_value(node):
        return OpGroup.plain("file", "reads or writes a file")
    group = runs_on_host(node.op) or find_group(node.op, stateful=False)
    outside = group is not None and (runs_on_host(node.op) is not None or group.name in _OUTSIDE)
    return group if outside else None


def reads_asset(graph: ServingGraph, subgraph: Subgraph, place: Place) -> bool:
    """Whether an operation reads a file, and only files that the export declares as assets.

    The loader feeds the paths of the assets only during initialization. When a signature runs, the path
    must come from a variable that only the initialization has written.
    """
    node = subgraph.nodes[place]
    if node.op not in _FILE_INPUTS or len(node.input) <= _FILE_INPUTS[node.op]:
        return False
    everything = _merge(subgraph, graph.initializing, graph.restoring)
    origins = graph.origins(everything, place, node.input[_FILE_INPUTS[node.op]])
    assets = {Place(MAIN, node_name(asset.tensor_info.name)) for asset in graph.meta.asset_file_def}
    unfed = {} if subgraph is graph.initializing else subgraph.nodes
    return bool(origins) and origins <= assets and origins.isdisjoint(unfed)


def _running_parts(graph: ServingGraph) -> Iterator[tuple[str, Subgraph]]:
    for name, subgraph in graph.answering.items():
        yield f"signature {name!r}", subgraph
    yield "the initialization", graph.initializing
    yield "the restore function", graph.restoring


def _refusal(
    graph: ServingGraph, user: str, subgraph: Subgraph, place: Place, node: NodeDef
) -> RefusedOp | None:
    group = _group_of(graph, node)
    if group is None or reads_asset(graph, subgraph, place):
        return None
    if node.op == _RESTORE and subgraph is graph.restoring and _restores_own(graph, subgraph, place):
        return None
    return _refused(user, place, node, group)


def _refused(user: str, place: Place, node: NodeDef, group: OpGroup) -> RefusedOp:
    is_known = group.name != "unknown"
    within = runs_on_host(node.op) is None and not _harmful_value(node)
    return RefusedOp(
        op=node.op,
        place=place,
        text=f"{user} reaches {node.op} {place}: it {group.reason}",
        known=is_known,
        declarable=is_known and within and group.name != "save",
        of_signature=user.startswith("signature"),
    )


def _group_of(graph: ServingGraph, node: NodeDef) -> OpGroup | None:
    """Why an operation is not allowed; None if it is."""
    if node.op in graph.arguments:  # a call of a function of the library, which is checked itself
        return None
    if read_releases().newest(node.op) is None:
        return OpGroup.plain("unknown", "is not one of TensorFlow's own operations")
    if _harmful_value(node):
        return OpGroup.plain("file", "reads or writes a file")
    if (host := runs_on_host(node.op)) is not None:
        return host
    group = find_group(node.op, stateful=is_stateful(node.op))
    return None if group is None or group.name in _WITHIN or _HARMLESS.search(node.op) else group


def _harmful_value(node: NodeDef) -> bool:
    name, harmless = _HARMLESS_VALUES.get(node.op, ("", ()))
    value: bytes = node.attr[name].s if name and name in node.attr else b""
    return bool(value) and not value.startswith(harmless)


def _restores_own(graph: ServingGraph, subgraph: Subgraph, place: Place) -> bool:
    """Whether an operation restores the model's own variables, whose path the loader feeds."""
    own = Place(MAIN, node_name(graph.meta.saver_def.filename_tensor_name))
    inputs = subgraph.nodes[place].input
    return bool(inputs) and graph.origins(subgraph, place, inputs[0]) == {own}


def _merge(*parts: Subgraph) -> Subgraph:
    merged = Subgraph()
    for part in parts:
        merged.nodes.update(part.nodes)
        for name, places in part.calls.items():
            merged.calls.setdefault(name, []).extend(places)
    return merged


def _asset_problems(graph: ServingGraph) -> Iterable[str]:
    for asset in graph.meta.asset_file_def:
        path = PurePosixPath(asset.filename)
        if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in asset.filename:
            yield f"asset {asset.filename!r} is not a file in the model's folder of assets"
