"""The signatures of a served model: the contract between a definition and its clients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from redraw.records.forms import ShortText, SpecShape


@dataclass(frozen=True)
class TensorSpec:
    """The dtype and the shape of one tensor of a signature.

    Attributes:
        dtype: TensorFlow's name of the dtype: `uint8`, `float32`, `string`, …
        shape: The dimensions; None for a dimension that may vary, such as the batch.
    """

    dtype: ShortText
    shape: SpecShape

    def __str__(self) -> str:
        sizes = ", ".join("None" if size is None else str(size) for size in self.shape)
        return f"{self.dtype} [{sizes}]"


@dataclass(frozen=True, kw_only=True)
class Signature:
    """The inputs and outputs of one request.

    Attributes:
        inputs: Name to tensor of a request.
        outputs: Name to tensor of an answer.
    """

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
