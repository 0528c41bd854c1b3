"""What a served model may be asked and answers: the contract between a definition and its clients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from redraw.records.forms import ShortText, SpecShape


@dataclass(frozen=True)
class TensorSpec:
    """The dtype and the shape of one tensor of a signature.

    Attributes:
        dtype: TensorFlow's name of it: `uint8`, `float32`, `string`, …
        shape: The dimensions; None where a dimension may vary, as the batch does.
    """

    dtype: ShortText
    shape: SpecShape

    def __str__(self) -> str:
        sizes = ", ".join("None" if size is None else str(size) for size in self.shape)
        return f"{self.dtype} [{sizes}]"


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What one request may ask and what it is answered.

    Attributes:
        inputs: Name to tensor, as a client names them.
        outputs: Name to tensor, as a client reads them.
    """

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
