"""Find each served variable's value in a checkpoint; leave no doubt about any tensor of it.

Names decide where they can: a Keras variable's path, a TF1 variable's name, the path of
attributes of a `tf.Module`; the definition's `renames` come before everything else. Where
names do not know every variable, the order of the layers does. Either way knows all
variables or none: two ways are never mixed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from tasks.checkpoint.object_graph import classify_tensors, object_at, variables_from
from tasks.checkpoint.roles import Role
from tasks.checkpoint.source import CheckpointSource
from tasks.errors import CheckpointMismatch
from tasks.export.catalogs import Catalog, list_catalogs
from tasks.export.explaining import explain_rest
from tasks.export.ledger import Ledger, Served
from tasks.export.proposals import describe_missing
from tasks.export.renaming import Renames, rename
from tasks.records import WeightsKind

__all__ = ["Wanted", "WantedVariable", "map_checkpoint"]

logger = logging.getLogger(__name__)


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


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is asked of a checkpoint.

    Attributes:
        variables: The served variables that have no value yet.
        unreached: Variables of the network that no signature reaches.
        weights: Raw, or their moving averages.
        known_by: Whether variables have names of their own, or paths of attributes.
        structure_places: Name to places by structure (`tasks.export.places`); none where the
            order of layers says nothing.
        saved_places: Name to place in Keras 3's files.
        averages: Key of a weight to key of its average, where the checkpoint itself does not say so.
        renames: The definition's.
        training_only: The definition's.
        roots: The definition's `checkpoint_roots`.
    """

    variables: Sequence[WantedVariable]
    unreached: Sequence[WantedVariable] = ()
    weights: WeightsKind = "raw"
    known_by: Literal["name", "path"] = "name"
    structure_places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    saved_places: Mapping[str, str] = field(default_factory=dict)
    averages: Mapping[str, str] = field(default_factory=dict)
    renames: Renames = ()
    training_only: Sequence[str] = ()
    roots: Mapping[WeightsKind, str] = field(default_factory=dict)


def map_checkpoint(wanted: Wanted, source: CheckpointSource) -> Ledger:
    """Give every served variable its source, and every other tensor the rule that drops it.

    Args:
        wanted: The served variables, and how the definition wants them found.
        source: The checkpoint.

    Returns:
        The restore ledger.

    Raises:
        CheckpointMismatch: A served variable has no source, more than one, or one of another
            shape or dtype; or weights of the checkpoint are claimed by no served variable.
    """
    roles = _with_told_shadow(wanted, source, classify_tensors(source.entries, source.graph))
    try:
        catalogs = list_catalogs(wanted, source, roles)
        lookups = [Lookup(catalog, wanted, source) for catalog in catalogs]
        chosen = _choose(lookups)
        served = tuple(sorted(chosen.served(), key=lambda entry: entry.variable))
        dropped = explain_rest(chosen, served, roles, wanted)
    except CheckpointMismatch as err:
        raise CheckpointMismatch(f"{source.uri}: {err}") from err
    logger.info("found %d variables by %s in %s", len(served), chosen.catalog.rule, source.uri)
    return Ledger(served=served, dropped=dropped, found_by=chosen.catalog.rule)


def _with_told_shadow(
    wanted: Wanted, source: CheckpointSource, roles: Mapping[str, Role]
) -> Mapping[str, Role]:
    """The roles, with a shadow model that the definition names by its own name."""
    told = wanted.roots.get("average")
    number = object_at(source.graph, told) if source.graph is not None and told else None
    if source.graph is None or number is None:
        return roles
    shadow = {tensor.key for _, tensor in variables_from(source.graph, number)}
    return {
        key: Role.MOVING_AVERAGE if key in shadow and role is Role.MODEL_WEIGHT else role
        for key, role in roles.items()
    }


class Lookup:
    """The served variables, looked up in one catalog.

    Attributes:
        catalog: The catalog.
        source: The checkpoint.
        found: Served variable to key, for those that are in it.
        missing: Those that are not.
    """

    def __init__(self, catalog: Catalog, wanted: Wanted, source: CheckpointSource) -> None:
        """Look every variable up."""
        self.catalog, self.source = catalog, source
        self._wanted = wanted
        self.found: dict[str, str] = {}
        self.missing: list[WantedVariable] = []
        for variable in wanted.variables:
            key = self.key_of(variable.name)
            if key is None:
                self.missing.append(variable)
            else:
                self.found[variable.name] = key

    def key_of(self, name: str) -> str | None:
        """The key of a variable's value, by the definition's renames first."""
        renamed = rename(name, self._wanted.renames)
        if renamed is None:
            return self.catalog.find(name)
        return self.catalog.keys.get(renamed, renamed if renamed in self.source.entries else None)

    def served(self) -> Iterator[Served]:
        """Every served variable with its source.

        Raises:
            CheckpointMismatch: One has none, or one of another shape or dtype.
        """
        if self.missing:
            free = {name: key for name, key in self.catalog.keys.items() if key not in self.found.values()}
            entries = {name: self.source.entries[key] for name, key in free.items()}
            raise CheckpointMismatch(describe_missing(self.missing, entries))
        for variable in self._wanted.variables:
            entry = self.source.entries[self.found[variable.name]]
            shape = tuple(variable.shape)
            if (shape, variable.dtype) != (entry.shape, entry.dtype):
                raise CheckpointMismatch(
                    f"served variable {variable.name!r}: expected {variable.dtype} {list(shape)}, got"
                    f" {entry.dtype} {list(entry.shape)} under {entry.key!r}."
                    " Export with the definition that trained it."
                )
            yield Served(variable=variable.name, key=entry.key, dtype=entry.dtype, shape=shape)


def _choose(lookups: Sequence[Lookup]) -> Lookup:
    """The catalog that knows every variable, of the lowest tier; else the one that knows most."""
    whole = [lookup for lookup in lookups if not lookup.missing]
    if not whole:
        return max(lookups, key=lambda lookup: (len(lookup.found), -lookup.catalog.tier))
    first = whole[0]
    rivals = [lookup for lookup in whole if lookup.catalog.tier == first.catalog.tier]
    other = next((lookup for lookup in rivals if lookup.found != first.found), None)
    if other is not None:
        raise CheckpointMismatch(
            f"expected one object with the served variables, got several: by {first.catalog.rule} and by"
            f" {other.catalog.rule}. Name the one to serve in the definition's checkpoint_roots."
        )
    return first
