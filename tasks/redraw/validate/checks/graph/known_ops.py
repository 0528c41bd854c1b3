"""Does the declared server version know every operation and its attributes?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from redraw.checkpoint.bundle.dtypes import dtype_name
from redraw.records import Check
from redraw.serving.graph.runtimes.op_lists import OpForm, Releases, read_releases
from redraw.serving.graph.serving_graph import ServingGraph
from redraw.validate.outcome import CannotRun, conclude
from redraw.validate.subject.subject import Subject

if TYPE_CHECKING:
    from tensorboard.compat.proto.attr_value_pb2 import AttrValue
    from tensorboard.compat.proto.node_def_pb2 import NodeDef


def check_custom_ops(subject: Subject) -> Check:
    """Demand that every operation, reached or not, is one of TensorFlow's own: the check `custom-ops`."""
    graph, releases = subject.graph, read_releases()
    used = _used(graph)
    first, last = _ends(releases)
    return conclude(
        "custom-ops",
        looked_at=f"the {len(used)} types of operations in the graph and its functions",
        expected=f"only operations of TensorFlow {first} to {last}",
        found=f"{len(used)} types of operations, all TensorFlow's own",
        problems=[
            f"no TensorFlow release has the operation {op} (node {places[0][0]})"
            for op, places in used.items()
            if releases.newest(op) is None
        ],
        advice="Use TensorFlow's own operations. A server without the custom operation cannot load the"
        " model.",
    )


def check_serving_runtime(subject: Subject) -> Check:
    """Demand that the release in `serving_runtime` knows each operation, as it is used: `serving-runtime`.

    Raises:
        CannotRun: No op list of that release ships.
    """
    graph, releases = subject.graph, read_releases()
    runtime = ".".join(subject.definition.serving_runtime.split(".")[:2])
    if runtime not in releases.graph_versions:
        raise CannotRun(
            f"the definition's serving_runtime is {subject.definition.serving_runtime!r}, and Redraw knows"
            f" only the operations of TensorFlow {', '.join(releases.graph_versions)}",
            "Set serving_runtime to one of these versions.",
        )
    used = _used(graph)
    problems = [*_version_problems(graph, releases, runtime)]
    for op, places in used.items():
        problems += _op_problems(op, places, releases, runtime)
        problems += _refusals(op, places, releases.known_at(op, runtime), graph)
    versions = graph.meta.graph_def.versions
    return conclude(
        "serving-runtime",
        looked_at=f"{len(used)} types of operations with their attributes; graph version {versions.producer},"
        f" to be read by {versions.min_consumer} or later",
        expected=f"only operations and attributes that TensorFlow {runtime} (graph version"
        f" {releases.graph_versions[runtime]}) has",
        found=f"TensorFlow {runtime} has all of them",
        problems=problems,
        advice="Serve with a later TensorFlow and set its version in the definition's serving_runtime (now"
        f" {runtime}), or build the network with older operations.",
    )


def _ends(releases: Releases) -> tuple[str, str]:
    order = list(releases.graph_versions)
    return order[0], order[-1]


def _used(graph: ServingGraph) -> dict[str, list[tuple[object, NodeDef]]]:
    """Type of operation to its nodes, without calls of functions by their names."""
    used: dict[str, list[tuple[object, NodeDef]]] = {}
    for place, node in graph.nodes():
        if node.op not in graph.arguments:
            used.setdefault(node.op, []).append((place, node))
    return dict(sorted(used.items()))


def _version_problems(graph: ServingGraph, releases: Releases, runtime: str) -> Iterator[str]:
    versions, own = graph.meta.graph_def.versions, releases.graph_versions[runtime]
    last = _ends(releases)[1]
    if versions.min_consumer > own:
        yield f"the graph needs graph version {versions.min_consumer}; TensorFlow {runtime} has version {own}"
    if own in versions.bad_consumers:
        yield f"the graph excludes graph version {own}, which is that of TensorFlow {runtime}"
    if versions.producer > releases.graph_versions[last]:
        yield (
            f"the graph was written with graph version {versions.producer}, which is later than that of"
            f" TensorFlow {last} ({releases.graph_versions[last]}), the newest release that Redraw knows"
        )


def _op_problems(
    op: str, places: list[tuple[object, NodeDef]], releases: Releases, runtime: str
) -> Iterator[str]:
    newest, form = releases.newest(op), releases.known_at(op, runtime)
    if newest is None:
        # The check custom-ops reports operations that no release has.
        return
    if form is None:
        first = next(releases.forms(op)).first
        yield (
            f"TensorFlow {runtime} does not have the operation {op} (node {places[0][0]}); the first"
            f" release with it is {first}"
        )
        return
    for place, node in places:
        for name, value in sorted(node.attr.items()):
            problem = _attr_problem(name, value, form, newest)
            if problem:
                yield f"{op} {place}: TensorFlow {runtime} {problem}{_since(name, value, op, releases)}"
                return


def _refusals(
    op: str, places: list[tuple[object, NodeDef]], form: OpForm | None, graph: ServingGraph
) -> Iterator[str]:
    producer = graph.meta.graph_def.versions.producer
    if form is not None and form.deprecated is not None and producer >= form.deprecated:
        yield (
            f"TensorFlow refuses {op} {places[0][0]} in graphs of version {form.deprecated} or later, and"
            f" this graph has version {producer}"
        )


def _attr_problem(name: str, value: AttrValue, form: OpForm, newest: OpForm) -> str:
    # These attributes are hints, which a runtime may ignore.
    if name.startswith("_"):
        return ""
    if name not in form.defaults:
        # An older runtime ignores the attribute; with its default value the result is the same.
        at_default = newest.defaults.get(name) == value.SerializeToString(deterministic=True)
        return "" if at_default else f"does not have the attribute {name!r}"
    refused = [item for item in _values(value) if item not in form.allowed.get(name, {item})]
    if not refused:
        return ""
    text = dtype_name(refused[0]) if isinstance(refused[0], int) else refused[0]
    return f"does not accept {text} for the attribute {name!r}"


def _values(value: AttrValue) -> Iterator[int | str]:
    kind = value.WhichOneof("value")
    if kind == "type":
        yield value.type
    elif kind == "s":
        yield value.s.decode(errors="replace")
    elif kind == "list":
        yield from value.list.type
        yield from (text.decode(errors="replace") for text in value.list.s)


def _since(name: str, value: AttrValue, op: str, releases: Releases) -> str:
    newest = releases.newest(op)
    for form in releases.forms(op):
        if newest is not None and name in form.defaults and not _attr_problem(name, value, form, newest):
            return f"; the first release that does is {form.first}"
    return "; no release that Redraw knows does"
