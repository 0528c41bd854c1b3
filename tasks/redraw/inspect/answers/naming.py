"""Translate a reference's names of signatures, inputs and outputs to the definition's names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from redraw.definition import OutsideReference
from redraw.records import Signature

# The key of a value without a name; TensorFlow Serving omits the name of a single value.
UNNAMED = ""
_MOST_NOTES = 8

T = TypeVar("T")


class Misfit(Exception):
    """A reference's request or answer does not fit the definition's signatures; the message tells why."""


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """Requests of some rows, and the reference's answers to them.

    Attributes:
        rows: The name of each row in messages.
        signature: The name of the definition's signature.
        inputs: Input name to values, [rows, …].
        answers: Output name to the reference's answers, [rows, …].
    """

    rows: tuple[str, ...]
    signature: str
    inputs: Mapping[str, np.ndarray]
    answers: Mapping[str, np.ndarray]


@dataclass
class Naming:
    """The names of a definition, and those of its reference.

    Args:
        reference: The reference, with its names for those of the definition.
        signatures: The definition's signatures.
        notes: Collects what is not compared, in a few words each.
    """

    reference: OutsideReference
    signatures: Mapping[str, Signature]
    notes: dict[str, None] = field(default_factory=dict)

    def note(self, text: str) -> None:
        """Note what is not compared, each text once, up to a bound."""
        if len(self.notes) < _MOST_NOTES:
            self.notes[text] = None

    def signature_of(self, reference_name: str | None) -> str | None:
        """The definition's signature for one of the reference; None if it has none."""
        for signature, other in self.reference.signatures.items():
            if other == reference_name and signature in self.signatures:
                return signature
        if reference_name is None and len(self.signatures) == 1:
            return next(iter(self.signatures))
        name = reference_name or "serving_default"
        return name if name in self.signatures and name not in self.reference.signatures else None

    def reference_signature(self, signature: str, names: Collection[str]) -> str:
        """The reference's signature, among those of `names`, for one of the definition.

        Raises:
            Misfit: The reference has no such signature.
        """
        name = self.reference.signatures.get(signature, signature)
        if name in names:
            return name
        if signature not in self.reference.signatures and len(names) == len(self.signatures) == 1:
            return next(iter(names))
        raise Misfit(
            f"the reference has no signature {name!r}, only {_listed(names)}; map the names in the"
            " definition's reference: signatures={…}"
        )

    def inputs(self, signature: str, values: Mapping[str, T]) -> dict[str, T]:
        """A reference's values by the definition's input names.

        Raises:
            Misfit: An input is missing.
        """
        names = self.signatures[signature].inputs
        pairs = _pairs(names, self.reference.inputs, values)
        if missing := [name for name in names if name not in pairs]:
            raise Misfit(
                f"the reference has no input for {_listed(missing)}, only {_listed(values)}; map the names in"
                " the definition's reference: inputs={…}"
            )
        self._note_rest("input", values, pairs.values())
        return {name: values[key] for name, key in pairs.items()}

    def outputs(self, signature: str, values: Mapping[str, T]) -> dict[str, T]:
        """A reference's values by the definition's output names, without outputs that one of them lacks.

        Raises:
            Misfit: They have no output in common.
        """
        names = self.signatures[signature].outputs
        pairs = _pairs(names, self.reference.outputs, values)
        if not pairs:
            raise Misfit(
                f"none of the reference's outputs {_listed(values)} is one of {_listed(names)}; map the"
                " names in the definition's reference: outputs={…}"
            )
        self._note_rest("output", values, pairs.values())
        for name in sorted(names.keys() - pairs.keys()):
            self.note(f"output {name!r} is not compared, because the reference does not have it")
        return {name: values[key] for name, key in pairs.items()}

    def _note_rest(self, kind: str, keys: Iterable[str], used: Collection[str]) -> None:
        for name in sorted(set(keys) - set(used)):
            self.note(f"the reference's {kind} {name!r} is left out, because the export does not have it")


def _pairs(names: Iterable[str], renamed: Mapping[str, str], keys: Collection[str]) -> dict[str, str]:
    """The definition's name to the reference's; a single one on each side may have different names."""
    names = list(names)
    if len(names) == len(keys) == 1 and (UNNAMED in keys or not set(names) & set(renamed)):
        return {names[0]: next(iter(keys))}
    return {name: renamed.get(name, name) for name in names if renamed.get(name, name) in keys}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) if name else "a value without a name" for name in sorted(names)) or "none"
