"""Which operations a model may hold to be loaded: those that touch nothing outside of their session.

Everything that runs is followed (signatures, initialization, restoring), and the whole function
library is looked through. Allowed are TensorFlow's own operations by the rule of `op_groups`,
the restoring of the model's own variables, and reads of files that the export declares as its
assets. What the definition declares in `stateful_ops` is allowed as well, unless it reaches
outside of the session; what the model says of itself counts for nothing.
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
from redraw.serving.graph.reachable import MAIN, Place, Reached
from redraw.serving.graph.runtimes.op_lists import read_releases
from redraw.serving.graph.serving_graph import ServingGraph, is_stateful

if TYPE_CHECKING:
    from tensorboard.compat.proto.node_def_pb2 import NodeDef

# Which of its inputs names the file, of the operations that may read an asset.
_FILE_INPUTS = {"ReadFile": 0, "InitializeTableFromTextFile": 1, "InitializeTableFromTextFileV2": 1}
# What only a saver calls: every SavedModel holds them, and nothing that a server runs may reach them.
_SAVER = frozenset({"SaveV2", "MergeV2Checkpoints", "RestoreV2"})
_RESTORE = "RestoreV2"
# These touch only the session's own memory: whether an answer may need them is for `inference-ops` to say.
_WITHIN = frozenset({"optimizer", "random", "gradient", "update"})
# And these do not.
_OUTSIDE = frozenset({"save", "print", "summary", "iterator"})
# Stateful, and within the session too: `repeatable` and `variables-unchanged` see what they do to answers.
_HARMLESS = re.compile(
    "^(Timestamp|TemporaryVariable|Stack((Close|Pop|Push)?V2)?|BoostedTrees.*|IsBoostedTrees.*"
    "|AnonymousMutable.*Table.*)$"
)
# Operations that read a file, or write one, if an attribute says so; and the values that do not.
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
        place: Where it is.
        text: Who reaches it and what it does, as a clause.
        known: Whether it is one of TensorFlow's own.
        declarable: Whether the definition's `stateful_ops` may allow it.
        of_signature: Whether a signature reaches it.
    """

    op: str
    place: Place
    text: str
    known: bool = True
    declarable: bool = False
    of_signature: bool = False


def demand_allowed(graph: ServingGraph, declared: Callable[[], Collection[str]] = tuple) -> None:
    """Demand that a model holds only allowed operations.

    Args:
        graph: What would be loaded.
        declared: The definition's `stateful_ops`; asked only if something is to be declared.

    Raises:
        OperationsRefused: It holds others; the message names them.
    """
    refused = list(find_refused(graph))
    if any(found.declarable for found in refused):
        allowed = set(declared())
        refused = [found for found in refused if not (found.declarable and found.op in allowed)]
    problems = [*_asset_problems(graph), *(found.text for found in refused)]
    if problems:
        more = len(problems) - _MOST_NAMED
        raise OperationsRefused(
            "expected operations that compute and touch nothing outside of the model, got: "
            + "; ".join(problems[:_MOST_NAMED])
            + (f"; and {more} more" if more > 0 else "")
            + ". It was not loaded"
        )


def find_refused(graph: ServingGraph) -> Iterator[RefusedOp]:
    """Every operation of a model that may not be loaded, the running ones first."""
    seen = set[Place]()
    for who, reached in _what_runs(graph):
        for place, node in sorted(reached.nodes.items(), key=lambda item: str(item[0])):
            if place not in seen and (found := _refusal(graph, who, reached, place, node)):
                seen.add(place)
                yield found
    runs = {place for _, reached in _what_runs(graph) for place in reached.nodes}
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
    """Why an operation touches more than its session, such as files; None for one that does not."""
    if _harmful_value(node):
        return OpGroup.plain("file", "reads or writes a file")
    group = runs_on_host(node.op) or find_group(node.op, stateful=False)
    outside = group is not None and (runs_on_host(node.op) is not None or group.name in _OUTSIDE)
    return group if outside else None


def reads_asset(graph: ServingGraph, reached: Reached, place: Place) -> bool:
    """Whether an operation reads a file, and only such files as the export declares as its assets.

    The loader feeds the paths of the assets while it initializes. When a signature runs nothing feeds
    them: there the path has to come out of a variable, which only the initialization has written.
    """
    node = reached.nodes[place]
    if node.op not in _FILE_INPUTS or len(node.input) <= _FILE_INPUTS[node.op]:
        return False
    everything = _merged(reached, graph.initializing, graph.restoring)
    origins = graph.origins(everything, place, node.input[_FILE_INPUTS[node.op]])
    assets = {Place(MAIN, node_name(asset.tensor_info.name)) for asset in graph.meta.asset_file_def}
    unfed = {} if reached is graph.initializing else reached.nodes
    return bool(origins) and origins <= assets and origins.isdisjoint(unfed)


def _what_runs(graph: ServingGraph) -> Iterator[tuple[str, Reached]]:
    for name, reached in graph.answering.items():
        yield f"signature {name!r}", reached
    yield "the initialization", graph.initializing
    yield "the restoring", graph.restoring


def _refusal(
    graph: ServingGraph, who: str, reached: Reached, place: Place, node: NodeDef
) -> RefusedOp | None:
    group = _group_of(graph, node)
    if group is None or reads_asset(graph, reached, place):
        return None
    if node.op == _RESTORE and reached is graph.restoring and _restores_own(graph, reached, place):
        return None
    return _refused(who, place, node, group)


def _refused(who: str, place: Place, node: NodeDef, group: OpGroup) -> RefusedOp:
    known = group.name != "unknown"
    within = runs_on_host(node.op) is None and not _harmful_value(node)
    return RefusedOp(
        op=node.op,
        place=place,
        text=f"{who} reaches {node.op} {place}: it {group.reason}",
        known=known,
        declarable=known and within and group.name != "save",
        of_signature=who.startswith("signature"),
    )


def _group_of(graph: ServingGraph, node: NodeDef) -> OpGroup | None:
    """Why an operation may not be loaded; None for one that may."""
    if node.op in graph.arguments:  # the call of a function of the library, which is looked through itself
        return None
    if read_releases().newest(node.op) is None:
        return OpGroup.plain("unknown", "is none of TensorFlow's own")
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


def _restores_own(graph: ServingGraph, reached: Reached, place: Place) -> bool:
    """Whether an operation restores from the model's own variables, whose path the loader feeds."""
    own = Place(MAIN, node_name(graph.meta.saver_def.filename_tensor_name))
    inputs = reached.nodes[place].input
    return bool(inputs) and graph.origins(reached, place, inputs[0]) == {own}


def _merged(*parts: Reached) -> Reached:
    merged = Reached()
    for part in parts:
        merged.nodes.update(part.nodes)
        for name, places in part.calls.items():
            merged.calls.setdefault(name, []).extend(places)
    return merged


def _asset_problems(graph: ServingGraph) -> Iterable[str]:
    for asset in graph.meta.asset_file_def:
        path = PurePosixPath(asset.filename)
        if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in asset.filename:
            yield f"asset {asset.filename!r} is no file of the model's folder of assets"
