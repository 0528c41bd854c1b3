"""The weights that a served graph requests from a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from redraw.export.graph.drawn import Places
from redraw.export.weights.renaming import Renames
from redraw.records import WeightsKind


class RequestedVariable(Protocol):
    """A variable that needs a value."""

    @property
    def name(self) -> str:
        """Its name in the drawn network."""
        ...

    @property
    def dtype(self) -> str:
        """TensorFlow's name of it."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Its dimensions."""
        ...

    @property
    def trainable(self) -> bool:
        """Whether training changes it; only then it may have an average."""
        ...


@dataclass(frozen=True, kw_only=True)
class WeightsRequest:
    """The variables that need values, and how to find these.

    Attributes:
        variables: The served variables that have no value yet.
        unreached: Variables of the network that no signature uses.
        weights: Raw weights, or their moving averages.
        known_by: Whether variables are identified by names, paths of attributes, or the checkpoint's keys.
        places: The places of the variables in checkpoints that do not name them.
        averages: Key of a weight to key of its average, in addition to those found in the checkpoint.
        renames: The definition's `renames`.
        training_only: The definition's `training_only`.
        roots: The definition's `checkpoint_roots`.
    """

    variables: Sequence[RequestedVariable]
    unreached: Sequence[RequestedVariable] = ()
    weights: WeightsKind = "raw"
    known_by: Literal["name", "path", "key"] = "name"
    places: Places = field(default_factory=Places)
    averages: Mapping[str, str] = field(default_factory=dict)
    renames: Renames = ()
    training_only: Sequence[str] = ()
    roots: Mapping[WeightsKind, str] = field(default_factory=dict)
