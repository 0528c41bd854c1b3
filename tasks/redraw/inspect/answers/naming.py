"""Bring what a reference calls its signatures, inputs and outputs to the definition's names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from redraw.definition import OutsideReference
from redraw.records import Signature

# The key of a value that stands without a name, as TensorFlow Serving has it if there is only one.
UNNAMED = ""
_MOST_NOTES = 8

T = TypeVar("T")


class Misfit(Exception):
    """A reference's request or answer does not fit the definition's signatures; the message says how."""


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """Requests of some rows, and the reference's answers to them.

    Attributes:
        rows: What each row is called in messages.
        signature: The definition's.
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
        reference: What the definition says of it.
        signatures: The definition's.
        notes: What is not compared, in a few words each; it is filled.
    """

    reference: OutsideReference
    signatures: Mapping[str, Signature]
    notes: dict[str, None] = field(default_factory=dict)

    def note(self, text: str) -> None:
        """Remember what is not compared, once, and not without end."""
        if len(self.notes) < _MOST_NOTES:
            self.notes[text] = None

    def signature_of(self, theirs: str | None) -> str | None:
        """The definition's signature for one of the reference; None if it has none."""
        for ours, other in self.reference.signatures.items():
            if other == theirs and ours in self.signatures:
                return ours
        if theirs is None and len(self.signatures) == 1:
            return next(iter(self.signatures))
        name = theirs or "serving_default"
        return name if name in self.signatures and name not in self.reference.signatures else None

    def their_signature(self, ours: str, theirs: Collection[str]) -> str:
        """The reference's signature for one of the definition.

        Raises:
            Misfit: It has none.
        """
        name = self.reference.signatures.get(ours, ours)
        if name in theirs:
            return name
        if ours not in self.reference.signatures and len(theirs) == len(self.signatures) == 1:
            return next(iter(theirs))
        raise Misfit(
            f"the reference has no signature {name!r}, it has {_listed(theirs)}: say which it is by"
            " signatures={…}"
        )

    def inputs(self, ours: str, given: Mapping[str, T]) -> dict[str, T]:
        """What a reference holds of each input of a signature; raises `Misfit` if one is missing."""
        pairs = _pairs(self.signatures[ours].inputs, self.reference.inputs, given)
        if missing := [name for name in self.signatures[ours].inputs if name not in pairs]:
            raise Misfit(
                f"it has no input {_listed(missing)}, it has {_listed(given)}: say which it is by"
                " inputs={…}"
            )
        self._note_rest("input", given, pairs.values())
        return {name: given[theirs] for name, theirs in pairs.items()}

    def outputs(self, ours: str, given: Mapping[str, T]) -> dict[str, T]:
        """The same for the outputs that both have; raises `Misfit` if there is none."""
        pairs = _pairs(self.signatures[ours].outputs, self.reference.outputs, given)
        if not pairs:
            raise Misfit(
                f"none of its outputs {_listed(given)} is one of {_listed(self.signatures[ours].outputs)}:"
                " say which it is by outputs={…}"
            )
        self._note_rest("output", given, pairs.values())
        for name in sorted(self.signatures[ours].outputs.keys() - pairs.keys()):
            self.note(f"output {name!r} is not compared, for the reference has none")
        return {name: given[theirs] for name, theirs in pairs.items()}

    def _note_rest(self, kind: str, given: Iterable[str], used: Collection[str]) -> None:
        for name in sorted(set(given) - set(used)):
            self.note(f"the reference's {kind} {name!r} is left out, for the export has none")


def _pairs(ours: Iterable[str], renamed: Mapping[str, str], given: Collection[str]) -> dict[str, str]:
    """Our name to the reference's. One on either side needs no name in common."""
    names = list(ours)
    if len(names) == len(given) == 1 and (UNNAMED in given or not set(names) & set(renamed)):
        return {names[0]: next(iter(given))}
    return {name: renamed.get(name, name) for name in names if renamed.get(name, name) in given}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) if name else "a value without a name" for name in sorted(names)) or "none"
