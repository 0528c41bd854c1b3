"""The rows of a restore ledger, for its writer and its readers; standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from redraw.records.forms import Shape, ShortText

# The number of the ledger's form, like `Record.schema`.
LEDGER_SCHEMA = 2


@dataclass(frozen=True, kw_only=True)
class Served:
    """A variable of the SavedModel and the checkpoint tensor that holds its value.

    Attributes:
        variable: Its name in the drawn network.
        key: The checkpoint's tensor.
        dtype: TensorFlow's name of its dtype.
        shape: Its dimensions.
        saved_as: The tensor in the SavedModel's bundle; empty until it is written.
    """

    variable: str
    key: str
    dtype: ShortText
    shape: Shape
    saved_as: str = ""


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """A checkpoint tensor that serving does not need, and the rule that says so."""

    key: str
    rule: str
