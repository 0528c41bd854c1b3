"""Find each served variable's value in a checkpoint, and account for every other tensor.

Names come first: a Keras variable's path, a TF1 variable's name, the path of attributes of
a `tf.Module`; the definition's `renames` come before everything else. If names do not
match every variable, the order of the layers decides. One way has to find all variables:
two ways are never mixed.
"""

from __future__ import annotations

import fnmatch
import logging
from collections.abc import Iterable, Mapping, Sequence, Set

from redraw.checkpoint.formats.source import CheckpointSource
from redraw.checkpoint.objects.object_graph import object_at, variables_from
from redraw.checkpoint.objects.roles import Role, classify_tensors
from redraw.errors import CheckpointMismatch, short_list
from redraw.export.weights.key_index import list_catalogs
from redraw.export.weights.ledger import Dropped, Ledger, Served
from redraw.export.weights.lookup import Lookup
from redraw.export.weights.orphans import find_unaveraged
from redraw.export.weights.request import WeightsRequest

logger = logging.getLogger(__name__)
# Rules that depend on how a version of Keras traverses a model.
_WALKS = ("place in ", "order of ", "Keras 2's ")
_SHOWN = 5
_TRAINING_ONLY, _UNREACHED, _DUPLICATE = (
    "training only",
    "reached by no signature",
    "served from another place",
)


def map_checkpoint(request: WeightsRequest, source: CheckpointSource) -> Ledger:
    """Give every served variable its source, and every other tensor the rule that drops it.

    Args:
        request: The served variables, and the definition's settings for finding them.
        source: The checkpoint.

    Raises:
        CheckpointMismatch: A served variable has no source, more than one, or one of another
            shape or dtype; or no served variable claims some weights of the checkpoint.
    """
    roles = _with_named_shadow(request, source, classify_tensors(source.entries, source.graph))
    try:
        catalogs = list_catalogs(request, source, roles)
        lookups = [Lookup(catalog, request, source) for catalog in catalogs]
        chosen = _choose(lookups)
        served = tuple(sorted(chosen.served(), key=lambda entry: entry.variable))
        dropped = _explain_rest(chosen, served, roles, request)
    except CheckpointMismatch as err:
        raise CheckpointMismatch(f"{source.uri}: {err}") from err
    logger.info("found %d variables by %s in %s", len(served), chosen.catalog.rule, source.uri)
    raw = _unaveraged(served, chosen, roles, request)
    return Ledger(served=served, dropped=dropped, found_by=chosen.catalog.rule, without_average=raw)


def _unaveraged(
    served: Sequence[Served], chosen: Lookup, roles: Mapping[str, Role], request: WeightsRequest
) -> tuple[str, ...]:
    if request.weights != "average" or not chosen.catalog.averaged:
        return ()
    averages = {key for key, role in roles.items() if role is Role.MOVING_AVERAGE}
    return find_unaveraged(served, averages | set(request.averages.values()), request)


def _with_named_shadow(
    request: WeightsRequest, source: CheckpointSource, roles: Mapping[str, Role]
) -> Mapping[str, Role]:
    """The roles, with those of a shadow model that the definition names in `checkpoint_roots`."""
    root = request.roots.get("average")
    number = object_at(source.graph, root) if source.graph is not None and root else None
    if source.graph is None or number is None:
        return roles
    shadow = {tensor.key for _, tensor in variables_from(source.graph, number)}
    return {
        key: Role.MOVING_AVERAGE if key in shadow and role is Role.MODEL_WEIGHT else role
        for key, role in roles.items()
    }


def _choose(lookups: Sequence[Lookup]) -> Lookup:
    """The lookup of the lowest tier that finds every variable; else the one that finds the most."""
    complete = [lookup for lookup in lookups if not lookup.missing]
    if not complete:
        return max(lookups, key=lambda lookup: (len(lookup.found), -lookup.catalog.tier))
    first = complete[0]
    rivals = [lookup for lookup in complete if lookup.catalog.tier == first.catalog.tier]
    other = next((lookup for lookup in rivals if lookup.found != first.found), None)
    if other is not None and other.catalog.rule.startswith(_WALKS):
        raise CheckpointMismatch(
            f"expected one place for each variable, found two, by {first.catalog.rule} and by"
            f" {other.catalog.rule}, and the file does not say which is right. Save the trained model"
            " again, as a tf.train.Checkpoint, and export that checkpoint."
        )
    if other is not None:
        raise CheckpointMismatch(
            f"expected one object with the served variables, got several: by {first.catalog.rule} and by"
            f" {other.catalog.rule}. Name the object to serve in the definition's checkpoint_roots."
        )
    return first


def _explain_rest(
    lookup: Lookup, served: Sequence[Served], roles: Mapping[str, Role], request: WeightsRequest
) -> tuple[Dropped, ...]:
    """The rule that drops each tensor that is not served; refuses a weight that nothing claims."""
    claimed = {entry.key for entry in served}
    unreached = {lookup.key_of(variable.name) for variable in request.unreached}
    names = _names_by_key(lookup.catalog.keys)
    files = (request.places.in_keras_files, request.places.in_keras_2_files)
    duplicates = {p for entry in served for places in files for p in places.get(entry.variable, ())}
    by_name = {entry.variable for entry in served}
    rules: dict[str, str] = {}
    unexplained = []
    for key in sorted(set(roles) - claimed):
        # A SavedModel's own graph contains all that its signatures read.
        if key in unreached or request.known_by == "key":
            rules[key] = _UNREACHED
        elif key in duplicates:
            rules[key] = _DUPLICATE
        elif request.weights == "average" and not by_name.isdisjoint(names.get(key, ())):
            rules[key] = str(roles[key])  # its average is served, by a rename
        elif key not in names and not _is_unclaimed_weight(roles[key], request):
            rules[key] = str(roles[key])
        elif _matches([*names.get(key, ()), key], request.training_only):
            rules[key] = _TRAINING_ONLY
        else:
            unexplained.append(names.get(key, [key])[0])
    layers = {_layer_of(name) for key in claimed for name in names.get(key, ())} - {""}
    # A scope of TF1, or an object, may contain anything; a layer of Keras is a unit.
    of_layers = lookup.source.graph is not None and request.known_by == "name"
    _demand_none(sorted(unexplained), layers if of_layers else set())
    return tuple(Dropped(key=key, rule=rule) for key, rule in rules.items())


def _is_unclaimed_weight(role: Role, request: WeightsRequest) -> bool:
    """Whether a tensor outside of the catalog is an unclaimed weight; raw ones next to averages are not."""
    return role is Role.MODEL_WEIGHT and request.weights == "raw"


def _names_by_key(keys: Mapping[str, str]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for name, key in keys.items():
        names.setdefault(key, []).append(name)
    return names


def _matches(names: Iterable[str], patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in patterns)


def _layer_of(name: str) -> str:
    return name.rpartition("/")[0]


def _demand_none(unexplained: Sequence[str], layers: Set[str]) -> None:
    parts = [name for name in unexplained if _layer_of(name) in layers]
    if unexplained:
        names = short_list(parts or unexplained, "weights that no served variable takes", _SHOWN)
        count = f" ({len(unexplained)} in all)" if len(unexplained) <= _SHOWN else ""
        advice = (
            "The definition has the layers of these weights, but without the weights. Build these layers"
            " with the settings that the model was trained with."
            if parts
            else "Add the layers that use these weights to the definition. If only training used them, such"
            " as a second head, name them in the definition's training_only."
        )
        raise CheckpointMismatch(
            f"the checkpoint has weights that the served model does not use: {names}{count}. {advice}"
        )
