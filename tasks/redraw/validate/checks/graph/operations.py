"""Are the operations right for a server: no host code, no training, nothing that needs an accelerator?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from redraw.records import Check
from redraw.serving.graph.allowed import find_refused, reads_asset
from redraw.serving.graph.op_groups import find_group, runs_on_host
from redraw.serving.graph.serving_graph import is_stateful
from redraw.validate.outcome import conclude

if TYPE_CHECKING:
    from redraw.serving.graph.serving_graph import ServingGraph
    from redraw.validate.subject.subject import Subject

# The attribute of functions and nodes that XLA must compile; a server without XLA refuses each request.
_NOTE = re.compile("^_Xla(MustCompile|Compile)$")
# XlaCallModule is the only operation of XLA in the usual build of a server.
_OPERATIONS = {
    re.compile("^_?Xla(?!CallModule|SparseCore)"): "XLA",
    re.compile("^_?Cudnn"): "a GPU",
    re.compile("^_?(TPU|ConfigureDistributedTPU|ShutdownDistributedTPU)"): "a TPU",
}


def check_host_code(subject: Subject) -> Check:
    """Demand that nothing in the model runs Python, or touches files or sockets: `host-code`.

    It is checked again before each load. The model may read the files that the export declares as assets.
    """
    graph = subject.graph
    read = _reads_of_assets(graph)
    return conclude(
        "host-code",
        looked_at="the operations of the signatures, the initialization and the restore function, and the"
        " function library",
        expected="no calls of Python code, no sockets, and no files except the export's variables and assets",
        found=f"no Python and no files but {read} reads of assets" if read else "no Python, no files",
        problems=_problems(subject),
        advice="Use TensorFlow's operations, and wrap files in tf.saved_model.Asset.",
    )


def _problems(subject: Subject) -> Iterator[str]:
    """The refused operations, without those that other checks report.

    `custom-ops` reports unknown operations, `inference-ops` those of signatures that may be declared.
    """
    for refused in find_refused(subject.graph):
        if not refused.declarable:
            reported = refused.known
        else:
            reported = not refused.of_signature and refused.op not in subject.definition.stateful_ops
        if reported:
            yield refused.text


def _reads_of_assets(graph: ServingGraph) -> int:
    parts = [*graph.answering.values(), graph.initializing]
    return sum(reads_asset(graph, subgraph, place) for subgraph in parts for place in subgraph.nodes)


def check_inference_ops(subject: Subject) -> Check:
    """Demand that no signature reaches an operation that draws, updates, writes or trains: `inference-ops`.

    Operations in the definition's `stateful_ops` are allowed. The definition is imported only if the graph
    has such operations, because that costs the import of TensorFlow.
    """
    graph = subject.graph
    suspects = list(find_suspects(graph))
    declared = set(subject.definition.stateful_ops) if suspects else set()
    problems = [text for op, text in suspects if op not in declared]
    count = sum(len(subgraph.nodes) for subgraph in graph.answering.values())
    used = sorted({op for op, _ in suspects} & declared)
    return conclude(
        "inference-ops",
        looked_at=f"the {count} operations that {_named(graph)} reach",
        expected="no operation that draws random numbers, reads a queue or an iterator, writes a summary or a"
        " checkpoint, prints, updates variables, or belongs to an optimizer or a gradient"
        + (f", except {', '.join(sorted(declared))}" if declared else ""),
        found=f"only the declared {', '.join(used)}" if used else f"no such operation among {count}",
        problems=problems,
        advice="Build the network for Mode.SERVE without this operation (call every layer with"
        " training=False). If the answer needs it, list its type in the definition's stateful_ops.",
    )


def find_suspects(graph: ServingGraph) -> Iterator[tuple[str, str]]:
    """The type and a description of each operation that a signature reaches and answering does not need."""
    for signature, subgraph in graph.answering.items():
        for place, node in sorted(subgraph.nodes.items(), key=lambda item: str(item[0])):
            group = find_group(node.op, stateful=is_stateful(node.op))
            # The check host-code reports operations that reach outside of the server.
            if group is not None and not (group.name == "state" and runs_on_host(node.op)):
                kind = f" ({group.name})"
                yield (
                    node.op,
                    f"signature {signature!r} reaches {node.op} {place}{kind}: it {group.reason}",
                )


def _named(graph: ServingGraph) -> str:
    return ", ".join(repr(name) for name in graph.answering) or "no signatures"


def check_accelerators(subject: Subject) -> Check:
    """Demand that no node or function needs a GPU, a TPU or XLA: the check `accelerator-ops`."""
    graph = subject.graph
    problems = [*_noted(graph), *_operations(graph)]
    return conclude(
        "accelerator-ops",
        looked_at="the operations, and the attributes for XLA, in the graph and its functions",
        expected="nothing that a server without a GPU, a TPU or XLA refuses",
        found="no such operation or attribute",
        problems=problems,
        advice="Build the network without GPU operations (use_cudnn=False in Keras layers, or"
        " CUDA_VISIBLE_DEVICES=-1) and without jit_compile=True, and export again: the export removes"
        " attributes for XLA.",
    )


def _noted(graph: ServingGraph) -> Iterator[str]:
    for function in graph.meta.graph_def.library.function:
        if any(_NOTE.match(name) and value.b for name, value in function.attr.items()):
            yield f"function {function.signature.name} is marked for compilation by XLA"
    for place, node in graph.nodes():
        if any(_NOTE.match(name) and value.b for name, value in node.attr.items()):
            yield f"{node.op} {place} is marked for compilation by XLA"


def _operations(graph: ServingGraph) -> Iterator[str]:
    for place, node in graph.nodes():
        needs = next((what for pattern, what in _OPERATIONS.items() if pattern.match(node.op)), None)
        if needs is not None and node.op not in graph.arguments:
            yield f"{node.op} {place} needs {needs}"
