"""Answers from outside that a definition names: a definition that is wrong agrees with itself."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redraw.errors import InvalidDefinition
from redraw.uri import Uri


@dataclass(frozen=True, kw_only=True)
class OutsideReference:
    """What an export has to answer, by a witness that knows nothing of the definition.

    Attributes:
        uri: A SavedModel's folder, such as the old production model; a file of recorded requests with their
            answers, as JSON lines or as TFRecords of TensorFlow Serving's `PredictionLog`; or a `.meta` or
            `graph.pbtxt` next to its checkpoint. Local, from the definition's folder on, or `gs://`.
        signatures: Signature to what the reference calls it, if that differs.
        inputs: Input name to what the reference calls it, if that differs; of a recorded graph its tensors.
        outputs: Output name to what the reference calls it; the same.
        constants: Of a recorded graph: tensor to the value that it has, such as `is_training` to False.
        tolerance: How much floats may differ, absolute and relative; None for the definition's.
        rows: Compare no more than the first so many recorded rows; None for all.

    Example:
        reference = OutsideReference(uri="gs://old/churn/17", outputs={"probability": "prob"})
    """

    uri: str = ""
    signatures: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float | None = None
    rows: int | None = None

    def __post_init__(self) -> None:
        """Refuse what nothing can be compared by."""
        if self.rows is not None and self.rows < 1:
            raise InvalidDefinition(f"reference: rows: expected 1 or more, got {self.rows}. Correct it.")
        if self.tolerance is not None and not 0 <= self.tolerance < math.inf:
            raise InvalidDefinition(
                f"reference: tolerance: expected 0 or more, got {self.tolerance}. Correct it."
            )


def near_definition(definition: object, text: str) -> Uri:
    """A file that a definition names: a relative path begins at the definition's folder."""
    place = Uri(text)
    if place.is_bucket or Path(place).is_absolute():
        return place
    return Uri(Path(inspect.getfile(type(definition))).parent / place)
