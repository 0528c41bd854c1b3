"""Does the SavedModel serve what the definition promises? Read from the file, without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from redraw.checkpoint.bundle.dtypes import dtype_name
from redraw.records import Check, Signature, TensorSpec
from redraw.serving.graph.reachable import node_of
from redraw.serving.graph.serving_graph import tensors_of
from redraw.validate.outcome import conclude

if TYPE_CHECKING:
    from redraw.serving.graph.serving_graph import ServingGraph
    from redraw.validate.subject.subject import Subject


def check_signatures(subject: Subject) -> Check:
    """Compare names, dtypes and shapes of every signature, both ways: the check `signatures`.

    The placeholder behind each input has to take what the signature says of it.
    """
    expected = subject.definition.signatures
    return conclude(
        "signatures",
        looked_at=f"the signatures in {subject.folder / 'saved_model.pb'}",
        expected="; ".join(f"{name}: {_shown(signature)}" for name, signature in sorted(expected.items())),
        found=f"just these: {', '.join(sorted(expected))}",
        problems=[*_differences(expected, subject.served_signatures), *_unfed(subject.graph)],
        advice="Export again with the current definition, or change its signature.",
    )


def _shown(signature: Signature) -> str:
    inputs = ", ".join(f"{name} {spec}" for name, spec in signature.inputs.items())
    outputs = ", ".join(f"{name} {spec}" for name, spec in signature.outputs.items())
    return f"({inputs}) -> ({outputs})"


def _differences(expected: Mapping[str, Signature], found: Mapping[str, Signature]) -> Iterator[str]:
    for name in sorted(set(expected) | set(found)):
        if name not in found:
            yield f"signature {name!r} is missing"
        elif name not in expected:
            yield f"signature {name!r} is not in the definition"
        else:
            yield from _tensor_differences(name, "input", expected[name].inputs, found[name].inputs)
            yield from _tensor_differences(name, "output", expected[name].outputs, found[name].outputs)


def _tensor_differences(
    signature: str, kind: str, expected: Mapping[str, TensorSpec], found: Mapping[str, TensorSpec]
) -> Iterator[str]:
    for name in sorted(set(expected) | set(found)):
        if expected.get(name) != found.get(name):
            yield (
                f"signature {signature!r}, {kind} {name!r}: expected {expected.get(name, 'none')},"
                f" got {found.get(name, 'none')}"
            )


def _unfed(graph: ServingGraph) -> Iterator[str]:
    nodes = {node.name: node for node in graph.meta.graph_def.node}
    for name, signature in graph.signatures.items():
        for kind, infos in (("input", signature.inputs), ("output", signature.outputs)):
            for key, info in sorted(infos.items()):
                for tensor in tensors_of(info):
                    node = nodes.get(node_of(tensor))
                    where = f"signature {name!r}, {kind} {key!r}: "
                    if node is None:
                        yield f"{where}the graph has no tensor {tensor!r}"
                    elif node.op == "Placeholder" and node.attr["dtype"].type != info.dtype:
                        taken, said = dtype_name(node.attr["dtype"].type), dtype_name(info.dtype)
                        yield f"{where}expected a placeholder of {said}, got {tensor!r} of {taken}"
