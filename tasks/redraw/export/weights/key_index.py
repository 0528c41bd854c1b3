"""The ways in which a checkpoint may name what is served: by name, by path, or by structure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from redraw.checkpoint.formats.source import CheckpointSource
from redraw.checkpoint.formats.writer import find_writer
from redraw.checkpoint.objects.averages import AVERAGE_SUFFIX, SHADOW_MODELS, find_averages
from redraw.checkpoint.objects.object_graph import object_at, variables_from
from redraw.checkpoint.objects.roles import Role
from redraw.checkpoint.objects.structure import variables_by_structure
from redraw.checkpoint.objects.trackable import ObjectGraph, SavedTensor
from redraw.errors import CheckpointMismatch
from redraw.export.weights.orphans import demand_owned
from redraw.export.weights.renaming import (
    count_by_kind,
    counted_alike,
    layer_order,
    of_same_layer,
    of_same_name,
)
from redraw.export.weights.suggestions import describe_left_out

if TYPE_CHECKING:
    from redraw.export.weights.wanted import Wanted

_MODEL = "model"
_KERAS_3_FILES = ("keras", "keras_weights")
_SHORTEST_BELOW_A_MODEL = 3


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """One way to look variables up.

    Attributes:
        rule: What the way is called in the ledger.
        keys: Name, path or place to the key of the tensor that may be served.
        asks: Served variable to what it is called in `keys`; itself where it is absent.
        tier: The catalogs of a lower tier are asked first, and decide if they know all.
        averaged: Keys of raw weights in place of which `keys` has averages.
    """

    rule: str
    keys: Mapping[str, str]
    asks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tier: int = 0
    averaged: frozenset[str] = frozenset()

    def find(self, name: str) -> str | None:
        """The key for a served variable."""
        return next((self.keys[asked] for asked in self.asks.get(name, (name,)) if asked in self.keys), None)


def list_catalogs(wanted: Wanted, source: CheckpointSource, roles: Mapping[str, Role]) -> list[Catalog]:
    """List the ways in which the wanted kind of weights can be looked up in a checkpoint.

    Args:
        wanted: What is served, and whether raw or averaged.
        source: The checkpoint.
        roles: What each of its tensors is there for.

    Returns:
        The catalogs, those of a lower tier first.

    Raises:
        CheckpointMismatch: The checkpoint holds no weights of that kind.
    """
    if wanted.known_by == "key":
        keys = {key: key for key in source.entries if roles[key] is not Role.OBJECT_GRAPH}
        return [Catalog(rule="key of the SavedModel", keys=keys, asks=wanted.object_places)]
    averages = {**find_averages(source.entries, source.graph), **wanted.averages}
    if wanted.weights == "average":
        demand_owned(wanted, source)
    raw = list(_catalogs(wanted, source, roles, Role.MODEL_WEIGHT))
    found = raw
    if wanted.weights == "average":
        shadows = list(_catalogs(wanted, source, roles, Role.MOVING_AVERAGE))
        found = [*shadows, *(_averaged(catalog, averages) for catalog in raw if averages)]
    found = [catalog for catalog in found if catalog.keys]
    if not found:
        left_out = [variable.name for variable in wanted.variables if wanted.weights == "raw"]
        raise CheckpointMismatch(
            (left_out and describe_left_out(left_out, source, wanted.former_places))
            or f"expected {wanted.weights} weights in the checkpoint, got none{_roots_asked(wanted)}."
            " Serve the other weights, train with a moving average, or name the object that holds them"
            " in the definition's checkpoint_roots."
        )
    return sorted(found, key=lambda catalog: catalog.tier)


def _roots_asked(wanted: Wanted) -> str:
    root = wanted.roots.get(wanted.weights)
    return f" under {root!r}" if root else ""


def _averaged(catalog: Catalog, averages: Mapping[str, str]) -> Catalog:
    """The same names, with averages where there are some: batch statistics have none."""
    return Catalog(
        rule=f"moving average by {catalog.rule}",
        keys={name: averages.get(key, key) for name, key in catalog.keys.items()},
        asks=catalog.asks,
        tier=catalog.tier,
        averaged=frozenset(key for key in catalog.keys.values() if key in averages),
    )


def _catalogs(
    wanted: Wanted, source: CheckpointSource, roles: Mapping[str, Role], role: Role
) -> Iterator[Catalog]:
    def of_role(keys: Mapping[str, str]) -> dict[str, str]:
        return {name: key for name, key in keys.items() if roles[key] is role}

    if source.graph is None:
        # What is asked for by its whole name is a weight, though it may be named after another one.
        whole = {variable.name for variable in wanted.variables} if role is Role.MODEL_WEIGHT else set()
        plain = {key.removesuffix(":0"): key for key in source.entries}
        names = {
            name if name in whole else name.removesuffix(AVERAGE_SUFFIX): key
            for name, key in plain.items()
            if roles[key] is role or name in whole
        }
        yield from _by_names("name", names, wanted)
        return
    for root in _roots(wanted, source.graph, role):
        number = object_at(source.graph, root)
        if number is None:
            continue
        below = f" below {root!r}" if root else ""
        tensors = list(variables_from(source.graph, number))
        names_of = {tensor.key: tensor.full_name for _, tensor in tensors}
        by_path = of_role({path: tensor.key for path, tensor in reversed(tensors)})
        if source.format in _KERAS_3_FILES:
            layers = of_role(_unambiguous(tensors))
            yield from _in_keras_files(wanted, source, below, layers, by_path, names_of)
            continue
        if wanted.known_by == "path":
            yield Catalog(rule=f"path{below}", keys=by_path)
        else:
            yield from _by_names(f"name{below}", _with_old_names(of_role(_unambiguous(tensors))), wanted)
            asks = _agreeing(wanted.object_places, by_path, names_of, _calls_itself(wanted.own_names))
            yield Catalog(rule=f"path of its name{below}", keys=by_path, asks=asks)
        yield from _by_orders(wanted, source, below, of_role(layer_order(source)), names_of)
        places = _with_old_names(of_role(variables_by_structure(source.graph, number)))
        if wanted.structure_places and wanted.known_by == "name":
            asks = _agreeing(wanted.structure_places, places, names_of, of_same_name)
            yield Catalog(rule=f"structure{below}", keys=places, asks=asks, tier=2)


def _in_keras_files(
    wanted: Wanted,
    source: CheckpointSource,
    below: str,
    layers: Mapping[str, str],
    by_path: Mapping[str, str],
    names_of: Mapping[str, str],
) -> Iterator[Catalog]:
    """By the names of layers, and by places as the Keras that wrote the file has them, or as both do."""
    # What has no place is saved by its layer's own code: nothing in the file is known to be it.
    unknown = dict.fromkeys((v.name for v in (*wanted.variables, *wanted.unreached)), ())
    writer = find_writer(source)
    if not writer.keras_2:
        asked = {**unknown, **_by_layer(wanted.saved_places)}
        yield Catalog(rule=f"layer's name{below}", keys=layers, asks=asked)
    walks = {"file": wanted.saved_places, "file of Keras 2": wanted.former_places}
    if writer.keras_2 or writer.keras_3:
        del walks["file" if writer.keras_2 else "file of Keras 2"]
    stored = {path for path in by_path if "vars/" in path}
    whole = [walk for walk, places in walks.items() if stored == _all_places(places)]
    for walk in whole or walks:
        asks = unknown | _agreeing(walks[walk], by_path, names_of, of_same_layer)
        yield Catalog(rule=f"place in the {walk}{below}", keys=by_path, asks=asks, tier=1)


def _all_places(places: Mapping[str, Sequence[str]]) -> set[str]:
    return {place for held in places.values() for place in held}


def _by_orders(
    wanted: Wanted,
    source: CheckpointSource,
    below: str,
    order: Mapping[str, str],
    names_of: Mapping[str, str],
) -> Iterator[Catalog]:
    """By the order of a file that lists its layers; of the orders of both Keras if no version is known."""
    if not order:
        return
    writer = find_writer(source)
    orders = [
        *(() if writer.keras_2 else (("", wanted.order_places),)),
        *(() if writer.keras_3 else (("Keras 2's ", former) for former in wanted.former_orders)),
    ]
    for whose, asked in orders:
        places = {place: name for name, held in asked.items() for place in held}
        ours, theirs = (
            count_by_kind(places),
            count_by_kind({place: names_of[key] for place, key in order.items()}),
        )
        kinds = {name: tuple(ours[place] for place in held) for name, held in asked.items()}
        keys = {theirs[place]: key for place, key in order.items()}
        for tier, stored, wanted_places in ((2, order, asked), (3, keys, kinds)):
            asks = _agreeing(wanted_places, stored, names_of, of_same_name)
            pairs = ((name, names_of[stored[place]]) for name, held in asks.items() for place in held)
            if stored.keys() == _all_places(wanted_places) and counted_alike(pairs):
                yield Catalog(rule=f"{whose}order of layers{below}", keys=stored, asks=asks, tier=tier)


def _with_old_names(keys: Mapping[str, str]) -> dict[str, str]:
    """Names with those that Keras 3 calls otherwise under both."""
    return {name.replace("/depthwise_kernel", "/kernel"): key for name, key in keys.items()} | dict(keys)


def _calls_itself(own_names: Mapping[str, str]) -> Callable[[str, str], bool]:
    return lambda name, stored: own_names.get(name, name) == stored


def _by_layer(places: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """What Keras 3's files call variables: by their layer's name and their number in it.

    Places, and nothing else, say which layer of its class it is in the model's order, which is another
    one where a definition lists branches the other way round. A name that two layers have, in
    models of their own, says nothing certain of either.
    """
    pairs = ((name, name.split("/"), found[0].rpartition("/")[2]) for name, found in places.items())
    asked = {name: f"{parts[-2]}/{number}" for name, parts, number in pairs if len(parts) > 1}
    counts = Counter(asked.values())
    return {name: (key,) if counts[key] == 1 else () for name, key in asked.items()}


def _agreeing(
    asked: Mapping[str, tuple[str, ...]],
    keys: Mapping[str, str],
    names_of: Mapping[str, str],
    agree: Callable[[str, str], bool],
) -> dict[str, tuple[str, ...]]:
    """Of the places that are asked for those whose variable has the same name but for counters.

    A place alone would give a layer the weights of another one that stands where it stood.
    """
    return {
        name: tuple(place for place in places if place in keys and agree(name, names_of[keys[place]]))
        for name, places in asked.items()
    }


def _by_names(rule: str, keys: Mapping[str, str], wanted: Wanted) -> Iterator[Catalog]:
    """Whole names, and names below the model's own, which Keras 3 puts before them and Keras 2 does not."""
    yield Catalog(rule=rule, keys=keys)
    names = {variable.name: variable.name for variable in wanted.variables}
    short, asked = _below_the_model(keys), _below_the_model(names)
    if len(short) == len(keys) and (short.keys() != keys.keys() or asked.keys() != names.keys()):
        asks = {name: (inner,) for inner, name in asked.items()}
        yield Catalog(rule=f"{rule} without the model's", keys=short, asks=asks, tier=1)


def _below_the_model(names: Mapping[str, str]) -> Mapping[str, str]:
    """Names without their first part, where all have that in common and it is no layer's."""
    firsts = {name.partition("/")[0] for name in names}
    shortest = min((name.count("/") + 1 for name in names), default=0)
    if len(firsts) != 1 or shortest < _SHORTEST_BELOW_A_MODEL:
        return names
    return {name.partition("/")[2]: key for name, key in names.items()}


def _unambiguous(tensors: Iterable[tuple[str, SavedTensor]]) -> dict[str, str]:
    """The variables by name; a name that several have is no one's."""
    keys: dict[str, set[str]] = {}
    for _, tensor in tensors:
        keys.setdefault(tensor.full_name, set()).add(tensor.key)
    return {name: next(iter(found)) for name, found in keys.items() if len(found) == 1}


def _roots(wanted: Wanted, graph: ObjectGraph, role: Role) -> Iterable[str]:
    """The objects that may be the model, as `tf.train.Checkpoint(NAME=…)` called them; '' is the root."""
    root = wanted.roots.get("average" if role is Role.MOVING_AVERAGE else "raw")
    if root is not None:
        return (root,)
    if role is Role.MOVING_AVERAGE:
        return SHADOW_MODELS
    children = [name for name, _ in graph.nodes[0].children] if graph.nodes else []
    return (_MODEL,) if _MODEL in children else ("", *children)
