"""Find each served variable's value in a checkpoint; leave no doubt about any tensor of it.

Names decide where they can: a Keras variable's path, a TF1 variable's name, the path of
attributes of a `tf.Module`; the definition's `renames` come before everything else. Where
names do not know every variable, the order of the layers does. Either way knows all
variables or none: two ways are never mixed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from redraw.checkpoint.formats.source import CheckpointSource
from redraw.checkpoint.objects.object_graph import classify_tensors, object_at, variables_from
from redraw.checkpoint.objects.roles import Role
from redraw.errors import CheckpointMismatch
from redraw.export.weights.dropped import explain_rest
from redraw.export.weights.key_index import list_catalogs
from redraw.export.weights.ledger import Ledger, Served
from redraw.export.weights.lookup import Lookup
from redraw.export.weights.orphans import find_unaveraged
from redraw.export.weights.wanted import Wanted

logger = logging.getLogger(__name__)

# Rules that rest on how a version of Keras goes through a model.
_WALKS = ("place in ", "order of ", "Keras 2's ")


def map_checkpoint(wanted: Wanted, source: CheckpointSource) -> Ledger:
    """Give every served variable its source, and every other tensor the rule that drops it.

    Args:
        wanted: The served variables, and how the definition wants them found.
        source: The checkpoint.

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
    raw = _unaveraged(served, chosen, roles, wanted)
    return Ledger(served=served, dropped=dropped, found_by=chosen.catalog.rule, without_average=raw)


def _unaveraged(
    served: Sequence[Served], chosen: Lookup, roles: Mapping[str, Role], wanted: Wanted
) -> tuple[str, ...]:
    if wanted.weights != "average" or not chosen.catalog.averaged:
        return ()
    averages = {key for key, role in roles.items() if role is Role.MOVING_AVERAGE}
    return find_unaveraged(served, averages | set(wanted.averages.values()), wanted)


def _with_told_shadow(
    wanted: Wanted, source: CheckpointSource, roles: Mapping[str, Role]
) -> Mapping[str, Role]:
    """The roles, with a shadow model that the definition names by its own name."""
    root = wanted.roots.get("average")
    number = object_at(source.graph, root) if source.graph is not None and root else None
    if source.graph is None or number is None:
        return roles
    shadow = {tensor.key for _, tensor in variables_from(source.graph, number)}
    return {
        key: Role.MOVING_AVERAGE if key in shadow and role is Role.MODEL_WEIGHT else role
        for key, role in roles.items()
    }


def _choose(lookups: Sequence[Lookup]) -> Lookup:
    """The catalog that knows every variable, of the lowest tier; else the one that knows most."""
    whole = [lookup for lookup in lookups if not lookup.missing]
    if not whole:
        return max(lookups, key=lambda lookup: (len(lookup.found), -lookup.catalog.tier))
    first = whole[0]
    rivals = [lookup for lookup in whole if lookup.catalog.tier == first.catalog.tier]
    other = next((lookup for lookup in rivals if lookup.found != first.found), None)
    if other is not None and other.catalog.rule.startswith(_WALKS):
        raise CheckpointMismatch(
            f"expected to find each variable at one place, got two: by {first.catalog.rule}, and by"
            f" {other.catalog.rule}, and the file does not say which of them its writer took. Save the"
            " trained model again, as a tf.train.Checkpoint, and export that."
        )
    if other is not None:
        raise CheckpointMismatch(
            f"expected one object with the served variables, got several: by {first.catalog.rule} and by"
            f" {other.catalog.rule}. Name the one to serve in the definition's checkpoint_roots."
        )
    return first
