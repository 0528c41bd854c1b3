"""Read and check the example requests of a definition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from redraw.definition.model import ModelDefinition
from redraw.definition.parts import GoldenExamples
from redraw.definition.user_code import method_of, running_user_code
from redraw.errors import InvalidDefinition


def read_examples(
    definition: ModelDefinition, method: Literal["golden_examples", "held_out_examples"]
) -> dict[str, GoldenExamples]:
    """Call one of a definition's methods that return examples.

    Returns:
        Signature name to examples, whose values are arrays.

    Raises:
        InvalidDefinition: The method raises, or returns something else.
    """
    where = method_of(definition, method)
    with running_user_code(where):
        examples = getattr(definition, method)()
        if not isinstance(examples, Mapping):
            raise _wrong(where, "a dict from signature names to GoldenExamples", type(examples).__name__)
        return {str(name): _checked(where, str(name), value, definition) for name, value in examples.items()}


def _checked(where: str, name: str, examples: Any, definition: ModelDefinition) -> GoldenExamples:
    """The examples of one signature, their values as arrays."""
    where = f"{where}, signature {name!r}"
    signature = definition.signatures.get(name)
    if signature is None:
        raise _wrong(where, f"one of {', '.join(definition.signatures)}", "an unknown name")
    if not isinstance(examples, GoldenExamples):
        raise _wrong(where, "GoldenExamples", type(examples).__name__)
    for what, values, specs in (
        ("input", examples.inputs, signature.inputs),
        ("label", examples.labels, signature.outputs),
    ):
        if not isinstance(values, Mapping):
            raise _wrong(where, f"a dict from names to {what}s", type(values).__name__)
        if unknown := [key for key in values if key not in specs]:
            raise _wrong(where, f"{what}s of {', '.join(specs)}", f"{unknown[0]!r}")
    inputs, labels = (
        {key: np.asarray(value) for key, value in values.items()}
        for values in (examples.inputs, examples.labels)
    )
    for key, value in inputs.items():
        dtype = signature.inputs[key].dtype
        if (dtype == "string") != (value.dtype.kind in "OSU"):
            raise _wrong(where, f"{dtype} for input {key!r}", f"values of {value.dtype}")
        if value.ndim and not len(value):
            raise _wrong(where, f"at least one row of input {key!r}", "none")
    return replace(examples, inputs=inputs, labels=labels)


def _wrong(where: str, expected: str, got: str) -> InvalidDefinition:
    return InvalidDefinition(f"{where}: expected {expected}, got {got}. Correct the definition.")
