"""The restore ledger: where every served value came from, and why the rest was left."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from tasks.json_codec import encode_dataclass
from tasks.records import LedgerSummary

__all__ = ["Dropped", "Ledger", "Served"]


@dataclass(frozen=True, kw_only=True)
class Served:
    """A variable of the SavedModel and the checkpoint tensor that holds its value."""

    variable: str
    key: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """A checkpoint tensor that serving does not need, and the rule that says so."""

    key: str
    rule: str


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """Every served variable with its source, and every other tensor of the checkpoint."""

    served: tuple[Served, ...]
    dropped: tuple[Dropped, ...]

    def summary(self) -> LedgerSummary:
        """The ledger's sums."""
        rules = Counter(entry.rule for entry in self.dropped)
        return LedgerSummary(served=len(self.served), dropped=dict(sorted(rules.items())))

    def to_bytes(self) -> bytes:
        """The ledger as a JSON file."""
        return json.dumps(encode_dataclass(self), indent=1).encode()
