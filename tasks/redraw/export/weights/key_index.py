"""List how served variables can be looked up in a checkpoint: by name, by path, or by structure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

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
    counted_alike,
    layer_order,
    of_same_layer,
    of_same_name,
    pair_by_name,
)
from redraw.export.weights.request import WeightsRequest
from redraw.export.weights.suggestions import describe_left_out

_MODEL = "model"
_KERAS_3_FILES = ("keras", "keras_weights")
_SHORTEST_BELOW_A_MODEL = 3


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """One way to look variables up.

    Attributes:
        rule: The name of this way in the ledger.
        keys: Name, path or place to the key of a tensor that may be served.
        asks: Served variable to its possible names in `keys`; its own name by default.
        tier: Catalogs of a lower tier come first, and decide if they find all variables.
        averaged: Keys of raw weights that `keys` replaces by averages.
    """

    rule: str
    keys: Mapping[str, str]
    asks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tier: int = 0
    averaged: frozenset[str] = frozenset()

    def find(self, name: str) -> str | None:
        """The key for a served variable."""
        return next((self.keys[place] for place in self.asks.get(name, (name,)) if place in self.keys), None)


def list_catalogs(
    request: WeightsRequest, source: CheckpointSource, roles: Mapping[str, Role]
) -> list[Catalog]:
    """List the ways in which the requested kind of weights can be looked up in a checkpoint.

    Args:
        request: The served variables, and whether raw or averaged.
        source: The checkpoint.
        roles: The role of each of its tensors.

    Returns:
        The catalogs, those of a lower tier first.

    Raises:
        CheckpointMismatch: The checkpoint holds no weights of that kind.
    """
    if request.known_by == "key":
        keys = {key: key for key in source.entries if roles[key] is not Role.OBJECT_GRAPH}
        return [Catalog(rule="key of the SavedModel", keys=keys, asks=request.places.by_object)]
    averages = {**find_averages(source.entries, source.graph), **request.averages}
    if request.weights == "average":
        demand_owned(request, source)
    raw = list(_catalogs(request, source, roles, Role.MODEL_WEIGHT))
    catalogs = raw
    if request.weights == "average":
        shadows = list(_catalogs(request, source, roles, Role.MOVING_AVERAGE))
        catalogs = [*shadows, *(_averaged(catalog, averages) for catalog in raw if averages)]
    catalogs = [catalog for catalog in catalogs if catalog.keys]
    if not catalogs:
        left_out = [variable.name for variable in request.variables if request.weights == "raw"]
        raise CheckpointMismatch(
            (
                left_out
                and describe_left_out(
                    left_out, source, request.places.in_keras_2_files, others=False, alike=False
                )
            )
            or f"expected {request.weights} weights in the checkpoint, got none{_root_suffix(request)}."
            " Export with the other --weights (raw or average), train with average_decay, or name the"
            " object that holds the weights in the definition's checkpoint_roots."
        )
    return sorted(catalogs, key=lambda catalog: catalog.tier)


def _root_suffix(request: WeightsRequest) -> str:
    root = request.roots.get(request.weights)
    return f" under {root!r}" if root else ""


def _averaged(catalog: Catalog, averages: Mapping[str, str]) -> Catalog:
    """The same catalog with averages in place of the weights that have one; batch statistics do not."""
    return Catalog(
        rule=f"moving average of {catalog.rule}",
        keys={name: averages.get(key, key) for name, key in catalog.keys.items()},
        asks=catalog.asks,
        tier=catalog.tier,
        averaged=frozenset(key for key in catalog.keys.values() if key in averages),
    )


def _catalogs(
    request: WeightsRequest, source: CheckpointSource, roles: Mapping[str, Role], role: Role
) -> Iterator[Catalog]:
    def of_role(keys: Mapping[str, str]) -> dict[str, str]:
        return {name: key for name, key in keys.items() if roles[key] is role}

    if source.graph is None:
        # A tensor with a variable's full name is a weight, even if its name is that of an average.
        full_names = {variable.name for variable in request.variables} if role is Role.MODEL_WEIGHT else set()
        keys_by_name = {key.removesuffix(":0"): key for key in source.entries}
        names = {
            name if name in full_names else name.removesuffix(AVERAGE_SUFFIX): key
            for name, key in keys_by_name.items()
            if roles[key] is role or name in full_names
        }
        yield from _by_names("name", names, request)
        return
    for root in _roots(request, source.graph, role):
        number = object_at(source.graph, root)
        if number is None:
            continue
        below = f" below {root!r}" if root else ""
        tensors = list(variables_from(source.graph, number))
        names_of = {tensor.key: tensor.full_name for _, tensor in tensors}
        by_path = of_role({path: tensor.key for path, tensor in reversed(tensors)})
        if source.format in _KERAS_3_FILES:
            layers = of_role(_unambiguous(tensors))
            yield from _in_keras_files(request, source, below, layers, by_path, names_of)
            continue
        if request.known_by == "path":
            yield Catalog(rule=f"path{below}", keys=by_path)
        else:
            yield from _by_names(f"name{below}", _with_old_names(of_role(_unambiguous(tensors))), request)
            asks = _agreeing(
                request.places.by_object, by_path, names_of, _calls_itself(request.places.own_names)
            )
            yield Catalog(rule=f"path of its name{below}", keys=by_path, asks=asks)
        yield from _by_orders(request, source, below, of_role(layer_order(source)), names_of)
        places = _with_old_names(of_role(variables_by_structure(source.graph, number)))
        if request.places.by_structure and request.known_by == "name":
            agree = _of_same_or_own_name(request.places.own_names)
            asks = _agreeing(request.places.by_structure, places, names_of, agree)
            yield Catalog(rule=f"structure{below}", keys=places, asks=asks, tier=2)


def _in_keras_files(
    request: WeightsRequest,
    source: CheckpointSource,
    below: str,
    layers: Mapping[str, str],
    by_path: Mapping[str, str],
    names_of: Mapping[str, str],
) -> Iterator[Catalog]:
    """Catalogs by names of layers, and by the places of the Keras that wrote the file, or of both."""
    # A variable without a place is saved by its layer's own code, so nothing in the file is known to be it.
    unknown = dict.fromkeys((v.name for v in (*request.variables, *request.unreached)), ())
    writer = find_writer(source)
    if not writer.keras_2:
        asks = {**unknown, **_by_layer(request.places.in_keras_files)}
        yield Catalog(rule=f"layer's name{below}", keys=layers, asks=asks)
    walks = {"file": request.places.in_keras_files, "file of Keras 2": request.places.in_keras_2_files}
    if writer.keras_2 or writer.keras_3:
        del walks["file" if writer.keras_2 else "file of Keras 2"]
    paths = {path for path in by_path if "vars/" in path}
    exact = [walk for walk, places in walks.items() if paths == _all_places(places)]
    for walk in exact or walks:
        asks = unknown | _agreeing(walks[walk], by_path, names_of, of_same_layer)
        yield Catalog(rule=f"place in the {walk}{below}", keys=by_path, asks=asks, tier=1)


def _all_places(places: Mapping[str, Sequence[str]]) -> set[str]:
    return {place for of_variable in places.values() for place in of_variable}


def _by_orders(
    request: WeightsRequest,
    source: CheckpointSource,
    below: str,
    order: Mapping[str, str],
    names_of: Mapping[str, str],
) -> Iterator[Catalog]:
    """Catalogs by the order of layers in a file, for both versions of Keras if its own is unknown."""
    if not order:
        return
    writer, agree = find_writer(source), _of_same_or_own_name(request.places.own_names)
    orders = [
        *(() if writer.keras_2 else (("", request.places.by_order),)),
        *(() if writer.keras_3 else (("Keras 2's ", former) for former in request.places.by_old_orders)),
    ]
    for whose, places_by_name in orders:
        names_at = {place: name for name, own_places in places_by_name.items() for place in own_places}
        if order.keys() != names_at.keys():
            continue
        asks = _agreeing(places_by_name, order, names_of, agree)
        if not all(asks.values()):
            paired = pair_by_name(names_at, {place: names_of[key] for place, key in order.items()}, agree)
            moved = {
                name: tuple(paired.get(place, "") for place in own_places)
                for name, own_places in places_by_name.items()
            }
            asks = _agreeing(moved, order, names_of, agree)
        pairs = ((name, names_of[order[place]]) for name, own_places in asks.items() for place in own_places)
        if counted_alike(pairs):
            tier = 2 if all(asks[name] == own_places for name, own_places in places_by_name.items()) else 3
            yield Catalog(rule=f"{whose}order of layers{below}", keys=order, asks=asks, tier=tier)


def _with_old_names(keys: Mapping[str, str]) -> dict[str, str]:
    """Add the older names of variables that Keras 3 renamed."""
    return {name.replace("/depthwise_kernel", "/kernel"): key for name, key in keys.items()} | dict(keys)


def _calls_itself(own_names: Mapping[str, str]) -> Callable[[str, str], bool]:
    return lambda name, saved_name: own_names.get(name, name) == saved_name


def _of_same_or_own_name(own_names: Mapping[str, str]) -> Callable[[str, str], bool]:
    """Compare names by `of_same_name`, also by the variable's own name if that is not its attribute's."""
    return lambda name, saved_name: (
        of_same_name(name, saved_name)
        or (
            own_names.get(name, name).rpartition("/")[2] != name.rpartition("/")[2]
            and of_same_name(own_names[name], saved_name)
        )
    )


def _by_layer(places: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The names of variables in Keras 3's files: the layer's name and the variable's number in it.

    A place alone only gives the layer's position in the model, which changes if a definition lists
    branches in another order. A name that two layers have, in models of their own, is ambiguous.
    """
    pairs = ((name, name.split("/"), saved[0].rpartition("/")[2]) for name, saved in places.items())
    keys = {name: f"{parts[-2]}/{number}" for name, parts, number in pairs if len(parts) > 1}
    counts = Counter(keys.values())
    return {name: (key,) if counts[key] == 1 else () for name, key in keys.items()}


def _agreeing(
    places_by_name: Mapping[str, tuple[str, ...]],
    keys: Mapping[str, str],
    names_of: Mapping[str, str],
    agree: Callable[[str, str], bool],
) -> dict[str, tuple[str, ...]]:
    """Keep the places whose variable has the same name apart from counters.

    A place alone could give a layer the weights of another one at the same position.
    """
    return {
        name: tuple(place for place in places if place in keys and agree(name, names_of[keys[place]]))
        for name, places in places_by_name.items()
    }


def _by_names(rule: str, keys: Mapping[str, str], request: WeightsRequest) -> Iterator[Catalog]:
    """Catalogs by full names, and by names without the model's name, which only Keras 3 adds."""
    yield Catalog(rule=rule, keys=keys)
    names = {variable.name: variable.name for variable in request.variables}
    short, short_names = _below_the_model(keys), _below_the_model(names)
    if short.keys() != keys.keys() or short_names.keys() != names.keys():
        asks = {name: (inner,) for inner, name in short_names.items()}
        yield Catalog(rule=f"{rule} without the model's", keys=short, asks=asks, tier=1)


def _below_the_model(names: Mapping[str, str]) -> Mapping[str, str]:
    """Names without their first part, if all share it and it is not a layer's."""
    firsts = {name.partition("/")[0] for name in names}
    shortest = min((name.count("/") + 1 for name in names), default=0)
    if len(firsts) != 1 or shortest < _SHORTEST_BELOW_A_MODEL:
        return names
    return {name.partition("/")[2]: key for name, key in names.items()}


def _unambiguous(tensors: Iterable[tuple[str, SavedTensor]]) -> dict[str, str]:
    """The variables by name, without names that several have."""
    keys: dict[str, set[str]] = {}
    for _, tensor in tensors:
        keys.setdefault(tensor.full_name, set()).add(tensor.key)
    return {name: next(iter(with_name)) for name, with_name in keys.items() if len(with_name) == 1}


def _roots(request: WeightsRequest, graph: ObjectGraph, role: Role) -> Iterable[str]:
    """The objects that may be the model, by their names in `tf.train.Checkpoint(NAME=…)`; '' is the root."""
    root = request.roots.get("average" if role is Role.MOVING_AVERAGE else "raw")
    if root is not None:
        return (root,)
    if role is Role.MOVING_AVERAGE:
        return SHADOW_MODELS
    children = [name for name, _ in graph.nodes[0].children] if graph.nodes else []
    return (_MODEL,) if _MODEL in children else ("", *children)
