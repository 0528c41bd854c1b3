"""Why each tensor of a checkpoint that is not served is left behind."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING

from redraw.checkpoint.objects.roles import Role
from redraw.errors import CheckpointMismatch, short_list
from redraw.export.weights.ledger import Dropped, Served

if TYPE_CHECKING:
    from redraw.export.weights.lookup import Lookup
    from redraw.export.weights.wanted import Wanted

_SHOWN = 5
_TRAINING_ONLY, _UNREACHED, _AGAIN = "training only", "reached by no signature", "served from another place"


def explain_rest(
    lookup: Lookup, served: Sequence[Served], roles: Mapping[str, Role], wanted: Wanted
) -> tuple[Dropped, ...]:
    """Name the rule for every tensor that is not served.

    Args:
        lookup: Where the served variables were found.
        served: What is served.
        roles: What each tensor of the checkpoint is there for.
        wanted: What was asked for.

    Returns:
        Every other tensor, by key.

    Raises:
        CheckpointMismatch: A weight is claimed by nothing.
    """
    claimed = {entry.key for entry in served}
    unreached = {lookup.key_of(variable.name) for variable in wanted.unreached}
    names = _names_by_key(lookup.catalog.keys)
    files = (wanted.saved_places, wanted.former_places)
    again = {p for entry in served for places in files for p in places.get(entry.variable, ())}
    by_name = {entry.variable for entry in served}
    rules: dict[str, str] = {}
    unexplained = []
    for key in sorted(set(roles) - claimed):
        # A SavedModel's own graph says all that its signatures read.
        if key in unreached or wanted.known_by == "key":
            rules[key] = _UNREACHED
        elif key in again:
            rules[key] = _AGAIN
        elif wanted.weights == "average" and not by_name.isdisjoint(names.get(key, ())):
            rules[key] = str(roles[key])  # its average is served, which a rename has named
        elif key not in names and not _is_unclaimed_weight(roles[key], wanted):
            rules[key] = str(roles[key])
        elif _matches([*names.get(key, ()), key], wanted.training_only):
            rules[key] = _TRAINING_ONLY
        else:
            unexplained.append(names.get(key, [key])[0])
    layers = {_layer_of(name) for key in claimed for name in names.get(key, ())} - {""}
    # A scope of TF1, or an object, may hold anything; a layer of Keras is one thing.
    of_layers = lookup.source.graph is not None and wanted.known_by == "name"
    _demand_none(sorted(unexplained), layers if of_layers else set())
    return tuple(Dropped(key=key, rule=rule) for key, rule in rules.items())


def _is_unclaimed_weight(role: Role, wanted: Wanted) -> bool:
    """Whether a tensor outside of the catalog is a weight all the same; raw ones next to averages are not."""
    return role is Role.MODEL_WEIGHT and wanted.weights == "raw"


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
        shown = short_list(parts or unexplained, "weights that no served variable takes", _SHOWN)
        count = f" ({len(unexplained)} in all)" if len(unexplained) <= _SHOWN else ""
        advice = (
            "Their layers are served without them: draw these layers as the file has them."
            if parts
            else "Draw the layers that read them; only if nothing but training did, such as a second head,"
            " name them in the definition's training_only."
        )
        raise CheckpointMismatch(
            f"the checkpoint holds weights that no served variable takes: {shown}{count}. {advice}"
        )
