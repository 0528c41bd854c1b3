"""The restore ledger: the source of every served value, and why the other tensors were dropped."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from redraw.checkpoint.bundle.dtypes import has_fixed_size, numpy_dtype
from redraw.errors import NonFiniteWeights
from redraw.records import LedgerSummary
from redraw.records.codec import encode_dataclass
from redraw.records.ledger import LEDGER_SCHEMA, Dropped, Served
from redraw.records.schema import SCHEMA

__all__ = ["Dropped", "Ledger", "NonFinite", "Served", "note_non_finite", "note_saved_keys"]

_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class NonFinite:
    """A served variable with `count` elements that are NaN or infinite."""

    variable: str
    count: int


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """Every served variable with its source, and every other tensor of the checkpoint.

    Attributes:
        served: The served variables with their sources.
        dropped: The other tensors with the rule that drops them.
        found_by: How the served variables were found: by name, path or structure.
        non_finite: The served variables that have NaN or infinity.
        without_average: The trained variables that are served raw among averages, because they have none.
    """

    served: tuple[Served, ...]
    dropped: tuple[Dropped, ...]
    found_by: str = "name"
    non_finite: tuple[NonFinite, ...] = ()
    without_average: tuple[str, ...] = ()

    @property
    def served_bytes(self) -> int:
        """The least size of the served values in bytes; strings, whose size is unknown, count as 0."""
        return sum(_bytes_of(entry) for entry in self.served)

    def summary(self) -> LedgerSummary:
        """The ledger's sums."""
        rules = Counter(entry.rule for entry in self.dropped)
        return LedgerSummary(served=len(self.served), dropped=dict(sorted(rules.items())))

    def to_bytes(self) -> bytes:
        """The ledger as a JSON file."""
        return json.dumps(
            {SCHEMA: LEDGER_SCHEMA, **encode_dataclass(self)}, indent=1, allow_nan=False
        ).encode()


def _bytes_of(entry: Served) -> int:
    dtype = numpy_dtype(entry.dtype) if has_fixed_size(entry.dtype) else None
    return 0 if dtype is None else dtype.itemsize * math.prod(entry.shape)


def note_saved_keys(ledger: Ledger, keys: Mapping[str, str]) -> Ledger:
    """Add each served variable's key in the SavedModel to the ledger.

    Args:
        ledger: The ledger.
        keys: Served variable to its key.

    Returns:
        The ledger with the keys.
    """
    served = tuple(replace(entry, saved_as=keys[entry.variable]) for entry in ledger.served)
    return replace(ledger, served=served)


def note_non_finite(ledger: Ledger, counts: Mapping[str, int], *, allowed: bool) -> Ledger:
    """Add the counts of non-finite values to the ledger.

    Args:
        ledger: The ledger.
        counts: Served variable to its number of elements that are NaN or infinite.
        allowed: Whether such a model may be exported.

    Returns:
        The ledger with the findings.

    Raises:
        NonFiniteWeights: Weights are NaN or infinite, which is not allowed.
    """
    findings = tuple(NonFinite(variable=name, count=counts[name]) for name in sorted(counts) if counts[name])
    if findings and not allowed:
        sources = {entry.variable: entry for entry in ledger.served}
        examples = ", ".join(
            f"{finding.count} in {finding.variable!r} (checkpoint key {sources[finding.variable].key!r})"
            for finding in findings[:_SHOWN]
        )
        more = " …" if len(findings) > _SHOWN else ""
        raise NonFiniteWeights(
            f"served weights: expected finite numbers, got NaN or infinity: {examples}{more},"
            f" {len(findings)} of {len(ledger.served)} variables. Export an earlier checkpoint, or add"
            " --allow-non-finite."
        )
    return replace(ledger, non_finite=findings)
