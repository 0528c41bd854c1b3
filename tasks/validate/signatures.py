"""Does the SavedModel serve what the definition promises? Read from the file, without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from tasks.descriptions import SavedModelDescription
from tasks.inspect import inspect_uri
from tasks.records import Check, Signature, TensorSpec
from tasks.requests import InspectRequest

if TYPE_CHECKING:
    from tasks.validate.subject import Subject

__all__ = ["check_signatures"]


def check_signatures(subject: Subject) -> Check:
    """Compare names, dtypes and shapes of every signature, both ways: the check `signatures`."""
    folder, expected = subject.folder, subject.definition.signatures
    described = inspect_uri(InspectRequest(uri=str(folder)))
    if not isinstance(described, SavedModelDescription):
        raise TypeError(f"{folder} is described as {type(described).__name__}")
    differences = list(_differences(expected, described.signatures))
    return Check(
        name="signatures",
        status="failed" if differences else "passed",
        looked_at=f"the signatures in {folder / 'saved_model.pb'}",
        expected="; ".join(f"{name}: {_shown(signature)}" for name, signature in sorted(expected.items())),
        found="; ".join(differences) or f"just these: {', '.join(sorted(expected))}",
        advice="Export again with the current definition, or change its signature." if differences else "",
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
