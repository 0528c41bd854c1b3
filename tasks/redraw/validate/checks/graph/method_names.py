"""Can every API of a server ask the signatures? By their method names, which promise more than tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from redraw.records import Check, Signature
from redraw.validate.outcome import conclude

if TYPE_CHECKING:
    from redraw.validate.subject.subject import Subject

_DEFAULT = "serving_default"
_PREDICT, _CLASSIFY, _REGRESS = (
    f"tensorflow/serving/{method}" for method in ("predict", "classify", "regress")
)
# The outputs that a method promises, and their dtypes; its one input takes serialized examples.
# https://github.com/tensorflow/serving/blob/2.18.0/tensorflow_serving/servables/tensorflow/classifier.cc
_PROMISED = {_CLASSIFY: {"classes": "string", "scores": "float32"}, _REGRESS: {"outputs": "float32"}}


def check_method_names(subject: Subject) -> Check:
    """Demand `serving_default`, known methods, what these promise, and a free batch: `method-names`."""
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
        expected=f"{_DEFAULT!r} among them; the method {_PREDICT}, or {_CLASSIFY} or {_REGRESS} with the"
        " outputs that these promise; the batch None first in each tensor",
        found=", ".join(f"{name}: {method}" for name, method in methods.items()),
        problems=problems,
        advice="Give the definition a signature 'serving_default', and export again.",
    )


def _broken_promises(method: str, signature: Signature) -> Iterator[str]:
    promised = _PROMISED.get(method)
    if promised is None:
        return
    taken = [spec.dtype for spec in signature.inputs.values()]
    if taken != ["string"]:
        yield f"inputs: {method} takes one string of serialized examples, not {', '.join(taken)}"
    for name, spec in signature.outputs.items():
        if promised.get(name) != spec.dtype:
            expected = promised.get(name, f"none but {' and '.join(promised)}")
            yield f"output {name!r}: {method} promises {expected}, got {spec}"
    if not promised.keys() & signature.outputs.keys():
        yield f"outputs: {method} promises {' or '.join(promised)}"


def _fixed_batches(signature: Signature) -> Iterator[str]:
    for kind, tensors in (("input", signature.inputs), ("output", signature.outputs)):
        for name, spec in tensors.items():
            if not spec.shape or spec.shape[0] is not None:
                yield f"{kind} {name!r} has no free batch dimension: {spec}"
