"""The weights that a served graph requests from a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

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
        structure_places: Name to places by structure (`redraw.export.graph.places`); empty if the
            order of layers does not identify variables.
        saved_places: Name to places in Keras 3's files.
        former_places: Name to places in Keras 2's files.
        object_places: Name to its paths of attributes.
        order_places: Name to the number of its layer and its own there.
        former_orders: The same in the orders that Keras 2 may have.
        own_names: Name to the variable's own `name` attribute.
        averages: Key of a weight to key of its average, in addition to those found in the checkpoint.
        renames: The definition's `renames`.
        training_only: The definition's `training_only`.
        roots: The definition's `checkpoint_roots`.
    """

    variables: Sequence[RequestedVariable]
    unreached: Sequence[RequestedVariable] = ()
    weights: WeightsKind = "raw"
    known_by: Literal["name", "path", "key"] = "name"
    structure_places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    saved_places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    former_places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    object_places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    order_places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    former_orders: Sequence[Mapping[str, tuple[str, ...]]] = ()
    own_names: Mapping[str, str] = field(default_factory=dict)
    averages: Mapping[str, str] = field(default_factory=dict)
    renames: Renames = ()
    training_only: Sequence[str] = ()
    roots: Mapping[WeightsKind, str] = field(default_factory=dict)
