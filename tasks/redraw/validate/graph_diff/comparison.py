"""What two graphs share, what only the one has, and what serving has that only training should."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from redraw.records.codec import encode_dataclass
from redraw.records.schema import ATTACHMENT_SCHEMA, SCHEMA
from redraw.validate.graph_diff.serving_graph import Tensor

Fate = Literal["shared", "removed", "added", "left"]


@dataclass(frozen=True, kw_only=True)
class Part:
    """Operations of one graph, of one layer or scope, with one purpose and one fate.

    Attributes:
        box: What they are drawn as: the layer or scope, or `:` and a word for what has none.
        kind: What they are for, as `redraw.validate.graph_diff.kinds` has it.
        scope: The layer or the outermost scope.
        fate: `shared`; `removed`, only in training; `added`, only in serving; `left`, in
            serving though only training should have it.
        operations: Type to number.
    """

    box: str
    kind: str
    scope: str
    fate: Fate
    operations: dict[str, int]

    @property
    def count(self) -> int:
        """The number of operations."""
        return sum(self.operations.values())


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The two graphs, side by side.

    Attributes:
        training: All that training runs; its parts are shared or removed.
        serving: All that the signatures reach; what two of them have counts once.
        training_inputs: What the input pipeline gives.
        placeholders: What took its place.
        outputs: What serving answers.
        training_flow: Pairs of boxes, from source to user; `:in` is what a batch gives.
        serving_flow: The same; `:in/NAME` and `:out/NAME` are placeholders and outputs.
        layers: Names by which scopes are known for layers.
    """

    training: tuple[Part, ...]
    serving: tuple[Part, ...]
    training_inputs: tuple[str, ...]
    placeholders: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    training_flow: tuple[tuple[str, str], ...]
    serving_flow: tuple[tuple[str, str], ...]
    layers: tuple[str, ...]

    def count(self, fate: Fate) -> int:
        """The number of operations of a fate; what is shared is counted in training."""
        parts = self.training if fate in ("shared", "removed") else self.serving
        return sum(part.count for part in parts if part.fate == fate)

    def by_kind(self, fate: Fate) -> dict[str, int]:
        """Kind to number of operations of a fate, the most first."""
        counts: dict[str, int] = {}
        for part in (*self.training, *self.serving) if fate != "shared" else self.training:
            if part.fate == fate:
                counts[part.kind] = counts.get(part.kind, 0) + part.count
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def to_json(self) -> dict[str, Any]:
        """As JSON values: the number of the form, the sums, then every part and the flow between boxes."""
        return {
            SCHEMA: ATTACHMENT_SCHEMA,
            "training_operations": sum(part.count for part in self.training),
            "serving_operations": sum(part.count for part in self.serving),
            "shared": self.count("shared"),
            "removed_by_kind": self.by_kind("removed"),
            "left_by_kind": self.by_kind("left"),
            **encode_dataclass(self),
        }
