"""Are the signatures those of the definition and compatible with the live version? Without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from redraw.checkpoint.bundle.dtypes import dtype_name
from redraw.recorded.nodes import node_name
from redraw.records import Check, Signature, TensorSpec
from redraw.serving.graph.serving_graph import ServingGraph, tensors_of
from redraw.validate.outcome import conclude
from redraw.validate.subject.subject import Subject

_DEFAULT = "serving_default"
_PREDICT, _CLASSIFY, _REGRESS = (
    f"tensorflow/serving/{method}" for method in ("predict", "classify", "regress")
)
# The outputs that each method promises, and their dtypes; its one input takes serialized examples.
# https://github.com/tensorflow/serving/blob/2.18.0/tensorflow_serving/servables/tensorflow/classifier.cc
_PROMISED = {_CLASSIFY: {"classes": "string", "scores": "float32"}, _REGRESS: {"outputs": "float32"}}
_Specs = Mapping[str, TensorSpec]


def check_signatures(subject: Subject) -> Check:
    """Compare names, dtypes and shapes of every signature, both ways: the check `signatures`.

    The placeholder of each input must have the dtype that the signature declares.
    """
    expected = subject.definition.signatures
    return conclude(
        "signatures",
        looked_at=f"the signatures in {subject.folder / 'saved_model.pb'}",
        expected="; ".join(f"{name}: {_format(signature)}" for name, signature in sorted(expected.items())),
        found=f"exactly these: {', '.join(sorted(expected))}",
        problems=[*_differences(expected, subject.served_signatures), *_unfed(subject.graph)],
        advice="Export again with the current definition, or correct the signature in the definition.",
    )


def _format(signature: Signature) -> str:
    inputs = ", ".join(f"{name} {spec}" for name, spec in signature.inputs.items())
    outputs = ", ".join(f"{name} {spec}" for name, spec in signature.outputs.items())
    return f"({inputs}) -> ({outputs})"


def _differences(expected: Mapping[str, Signature], actual: Mapping[str, Signature]) -> Iterator[str]:
    for name in sorted(set(expected) | set(actual)):
        if name not in actual:
            yield f"signature {name!r} is missing"
        elif name not in expected:
            yield f"signature {name!r} is not in the definition"
        else:
            yield from _tensor_differences(name, "input", expected[name].inputs, actual[name].inputs)
            yield from _tensor_differences(name, "output", expected[name].outputs, actual[name].outputs)


def _tensor_differences(
    signature: str, kind: str, expected: Mapping[str, TensorSpec], actual: Mapping[str, TensorSpec]
) -> Iterator[str]:
    for name in sorted(set(expected) | set(actual)):
        if expected.get(name) != actual.get(name):
            yield (
                f"signature {signature!r}, {kind} {name!r}: expected {expected.get(name, 'none')},"
                f" got {actual.get(name, 'none')}"
            )


def _unfed(graph: ServingGraph) -> Iterator[str]:
    nodes = {node.name: node for node in graph.meta.graph_def.node}
    for name, signature in graph.signatures.items():
        for kind, infos in (("input", signature.inputs), ("output", signature.outputs)):
            for key, info in sorted(infos.items()):
                for tensor in tensors_of(info):
                    node = nodes.get(node_name(tensor))
                    where = f"signature {name!r}, {kind} {key!r}: "
                    if node is None:
                        yield f"{where}the graph has no tensor {tensor!r}"
                    elif node.op == "Placeholder" and node.attr["dtype"].type != info.dtype:
                        actual, declared = dtype_name(node.attr["dtype"].type), dtype_name(info.dtype)
                        yield f"{where}expected a placeholder of {declared}, got {tensor!r} of {actual}"


def check_method_names(subject: Subject) -> Check:
    """Demand `serving_default`, known methods with their outputs, and a free batch: `method-names`."""
    methods = {name: signature.method_name for name, signature in subject.graph.signatures.items()}
    problems = [] if _DEFAULT in methods else [f"no signature is called {_DEFAULT!r}"]
    for name, method in methods.items():
        signature = subject.served_signatures[name]
        if method not in (_PREDICT, *_PROMISED):
            problems.append(f"signature {name!r} has the method name {method!r}")
        problems += [f"signature {name!r}, {text}" for text in _broken_promises(method, signature)]
        problems += [f"signature {name!r}, {text}" for text in _fixed_batches(signature)]
    return conclude(
        "method-names",
        looked_at=f"the signatures {', '.join(map(repr, methods)) or '(none)'}",
        expected=f"a signature {_DEFAULT!r}; the method {_PREDICT}, or {_CLASSIFY} or {_REGRESS} with the"
        " outputs that the method requires; a batch dimension (None) first in each tensor",
        found=", ".join(f"{name}: {method}" for name, method in methods.items()),
        problems=problems,
        advice="Give the definition a signature 'serving_default' with None first in each shape, and export"
        " again.",
    )


def _broken_promises(method: str, signature: Signature) -> Iterator[str]:
    promised = _PROMISED.get(method)
    if promised is None:
        return
    dtypes = [spec.dtype for spec in signature.inputs.values()]
    if dtypes != ["string"]:
        yield (
            f"inputs: {method} requires one string tensor of serialized tf.train.Examples, got"
            f" {', '.join(dtypes)}"
        )
    for name, spec in signature.outputs.items():
        if promised.get(name) != spec.dtype:
            expected = promised.get(name, f"only {' and '.join(promised)}")
            yield f"output {name!r}: {method} requires {expected}, got {spec}"
    if not promised.keys() & signature.outputs.keys():
        yield f"outputs: {method} requires {' or '.join(promised)}"


def _fixed_batches(signature: Signature) -> Iterator[str]:
    for kind, tensors in (("input", signature.inputs), ("output", signature.outputs)):
        for name, spec in tensors.items():
            if not spec.shape or spec.shape[0] is not None:
                yield f"{kind} {name!r} has no batch dimension (None first): {spec}"


def check_live_signatures(subject: Subject) -> Check:
    """Compare the signatures with the live version's, on which its clients depend: `live-signatures`.

    A new signature or output, a wider input, a narrower output and an input with a default are fine.
    Anything that makes an unchanged client fail is breaking.
    """
    if subject.live is None:
        return _conclude("no live version", "nothing to compare with: no live version", [])
    release = subject.live.release
    breaks = list(_breaks(release.signatures, subject.served_signatures, subject.graph))
    against = f"the signatures of the live version {release.version}"
    if breaks and subject.allow_breaking:
        allowed = f"breaking changes, allowed ({subject.allow_breaking}): {'; '.join(breaks)}"
        return _conclude(against, allowed, [])
    return _conclude(against, f"all inputs and outputs of version {release.version}", breaks)


def _conclude(against: str, found: str, problems: list[str]) -> Check:
    return conclude(
        "live-signatures",
        looked_at=f"the signatures, and {against}",
        expected="every request to the live version is still valid, and is answered with the same outputs",
        found=found,
        problems=problems,
        advice="Keep the signatures of the live version and add a new one next to them, or allow the breaking"
        " change: --allow-breaking REASON.",
    )


def _breaks(
    live: Mapping[str, Signature], new: Mapping[str, Signature], graph: ServingGraph
) -> Iterator[str]:
    for name, promised in sorted(live.items()):
        if name not in new:
            yield f"signature {name!r} is gone"
            continue
        where = f"signature {name!r}, "
        optional = set(graph.signatures[name].defaults)
        yield from (where + text for text in _input_breaks(promised.inputs, new[name].inputs, optional))
        yield from (where + text for text in _output_breaks(promised.outputs, new[name].outputs))


def _input_breaks(live: _Specs, new: _Specs, optional: set[str]) -> Iterator[str]:
    for name, spec in sorted(live.items()):
        if name not in new:
            yield f"input {name!r} is gone or renamed"
        elif new[name].dtype != spec.dtype or not _covers(new[name], spec):
            yield f"input {name!r} was {spec}, and is now {new[name]}"
    for name in sorted(new.keys() - live.keys() - optional):
        yield f"input {name!r} is new, and existing clients do not send it"


def _output_breaks(live: _Specs, new: _Specs) -> Iterator[str]:
    for name, spec in sorted(live.items()):
        if name not in new:
            yield f"output {name!r} is gone or renamed"
        elif new[name].dtype != spec.dtype or not _covers(spec, new[name]):
            yield f"output {name!r} was {spec}, and is now {new[name]}"


def _covers(wide: TensorSpec, narrow: TensorSpec) -> bool:
    """Whether the wide spec admits every shape of the narrow one."""
    return len(wide.shape) == len(narrow.shape) and all(
        size is None or size == other for size, other in zip(wide.shape, narrow.shape, strict=True)
    )
