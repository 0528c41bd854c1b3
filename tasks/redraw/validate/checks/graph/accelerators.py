"""Will a server without a GPU, a TPU or XLA answer?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from redraw.records import Check
from redraw.validate.outcome import conclude

if TYPE_CHECKING:
    from redraw.serving.graph.serving_graph import ServingGraph
    from redraw.validate.subject.subject import Subject

# That a function or a node is to be compiled by XLA; a server that has none refuses each request.
_NOTE = re.compile("^_Xla(MustCompile|Compile)$")
# Of XLA's operations XlaCallModule is the one that a server's own build has.
_OPERATIONS = {
    re.compile("^_?Xla(?!CallModule|SparseCore)"): "XLA",
    re.compile("^_?Cudnn"): "a GPU",
    re.compile("^_?(TPU|ConfigureDistributedTPU|ShutdownDistributedTPU)"): "a TPU",
}


def check_accelerators(subject: Subject) -> Check:
    """Demand that no node or function needs a GPU, a TPU or XLA: the check `accelerator-ops`."""
    graph = subject.graph
    problems = [*_noted(graph), *_operations(graph)]
    return conclude(
        "accelerator-ops",
        looked_at="the operations, and the notes for XLA, in the graph and its functions",
        expected="nothing that a server without a GPU, a TPU or XLA refuses",
        found="no operation and no note of these",
        problems=problems,
        advice="Draw it as on a machine without a GPU (use_cudnn=False in layers of Keras, or "
        "CUDA_VISIBLE_DEVICES=-1), and without jit_compile=True; an export takes XLA's notes"
        " out by itself, so export again.",
    )


def _noted(graph: ServingGraph) -> Iterator[str]:
    for function in graph.meta.graph_def.library.function:
        if any(_NOTE.match(name) and value.b for name, value in function.attr.items()):
            yield f"function {function.signature.name} is to be compiled by XLA"
    for place, node in graph.nodes():
        if any(_NOTE.match(name) and value.b for name, value in node.attr.items()):
            yield f"{node.op} {place} is to be compiled by XLA"


def _operations(graph: ServingGraph) -> Iterator[str]:
    for place, node in graph.nodes():
        needs = next((what for pattern, what in _OPERATIONS.items() if pattern.match(node.op)), None)
        if needs is not None and node.op not in graph.arguments:
            yield f"{node.op} {place} needs {needs}"
