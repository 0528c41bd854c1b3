"""The result of comparing two graphs: what they share, what one lacks, and what serving should not have."""

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
        box: Their box in the picture: the layer or scope, or `:` and a word if they have none.
        kind: What they are for, a value of `redraw.validate.graph_diff.kinds.Kind` or `serving`.
        scope: The layer or the outermost scope.
        fate: `shared`; `removed`, only in training; `added`, only in serving; `left`, in
            serving though only training should have it.
        operations: Type to number of operations.
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
        training: All operations that training runs; its parts are shared or removed.
        serving: All operations that the signatures reach; what two signatures share counts once.
        training_inputs: The tensors that the input pipeline gives.
        placeholders: The placeholders that replace the input pipeline.
        outputs: The outputs of serving.
        training_flow: Pairs of boxes, from source to user; `:in` stands for a batch.
        serving_flow: The same; `:in/NAME` and `:out/NAME` are placeholders and outputs.
        layers: The names of layers, by which scopes are recognized as layers.
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
        """The number of operations of a fate; shared ones are counted in training."""
        parts = self.training if fate in ("shared", "removed") else self.serving
        return sum(part.count for part in parts if part.fate == fate)

    def by_kind(self, fate: Fate) -> dict[str, int]:
        """Kind to number of operations of a fate, the largest number first."""
        counts: dict[str, int] = {}
        for part in (*self.training, *self.serving) if fate != "shared" else self.training:
            if part.fate == fate:
                counts[part.kind] = counts.get(part.kind, 0) + part.count
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def to_json(self) -> dict[str, Any]:
        """JSON values: the schema number, the sums, then every part and the flow between boxes."""
        return {
            SCHEMA: ATTACHMENT_SCHEMA,
            "training_operations": sum(part.count for part in self.training),
            "serving_operations": sum(part.count for part in self.serving),
            "shared": self.count("shared"),
            "removed_by_kind": self.by_kind("removed"),
            "left_by_kind": self.by_kind("left"),
            **encode_dataclass(self),
        }
