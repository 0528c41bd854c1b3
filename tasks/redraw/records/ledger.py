"""The rows of a restore ledger, for who writes one and for who shows one: only the standard library."""

from __future__ import annotations

from dataclasses import dataclass

from redraw.records.forms import Shape, ShortText

# The number of the ledger's form, as `Record.schema` is a record's.
LEDGER_SCHEMA = 2


@dataclass(frozen=True, kw_only=True)
class Served:
    """A variable of the SavedModel and the checkpoint tensor that holds its value.

    Attributes:
        variable: What it is called in the drawn network.
        key: The checkpoint's tensor.
        dtype: TensorFlow's name of it.
        shape: Its dimensions.
        saved_as: The tensor of the SavedModel's own bundle; empty until it is written.
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
