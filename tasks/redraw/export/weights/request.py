"""What a served graph asks of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from redraw.export.weights.renaming import Renames
from redraw.records import WeightsKind


class WantedVariable(Protocol):
    """A variable that needs a value."""

    @property
    def name(self) -> str:
        """What it is called in the drawn network."""
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
        """Whether training changes it, so that it may have an average."""
        ...


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is asked of a checkpoint.

    Attributes:
        variables: The served variables that have no value yet.
        unreached: Variables of the network that no signature reaches.
        weights: Raw, or their moving averages.
        known_by: Whether variables have names of their own, paths of attributes, or the checkpoint's keys.
        structure_places: Name to places by structure (`redraw.export.graph.places`); none where the
            order of layers says nothing.
        saved_places: Name to places in Keras 3's files.
        former_places: Name to places in those of Keras 2.
        object_places: Name to the paths of attributes that lead to it.
        order_places: Name to the number of its layer and its own there.
        former_orders: The same in the orders that Keras 2 may have.
        own_names: Name to what a variable calls itself.
        averages: Key of a weight to key of its average, where the checkpoint itself does not say so.
        renames: The definition's.
        training_only: The definition's.
        roots: The definition's `checkpoint_roots`.
    """

    variables: Sequence[WantedVariable]
    unreached: Sequence[WantedVariable] = ()
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
