"""A definition's requests, as it gives them, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from redraw.definition.parts import GoldenExamples
from redraw.definition.user_code import method_of, running_user_code

if TYPE_CHECKING:
    from redraw.definition.model import ModelDefinition


def read_examples(
    definition: ModelDefinition, method: Literal["golden_examples", "held_out_examples"]
) -> dict[str, GoldenExamples]:
    """Call one of a definition's methods that give examples.

    Returns:
        Signature name to examples, whose values are arrays.

    Raises:
        InvalidDefinition: The method raises, or gives something else.
    """
    with running_user_code(method_of(definition, method)):
        return {
            str(name): replace(examples, inputs=_arrays(examples.inputs), labels=_arrays(examples.labels))
            for name, examples in getattr(definition, method)().items()
        }


def _arrays(values: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in values.items()}
