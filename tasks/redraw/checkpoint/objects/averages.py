"""Which tensor is the moving average of which, for every usual way of keeping one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from redraw.checkpoint.objects.trackable import ObjectGraph, SavedTensor, number_of

AVERAGE_SUFFIX = "/ExponentialMovingAverage"
# What people call a second model that holds the averages, as `tf.train.Checkpoint(NAME=…)`.
SHADOW_MODELS = ("average", "averages", "ema", "ema_model", "model_ema", "shadow", "shadow_model")

_TRAINED, _AVERAGES = "_trainable_variables", "_model_variables_moving_average"


def find_averages(keys: Iterable[str], graph: ObjectGraph | None) -> dict[str, str]:
    """Find the averages that stand next to the weights: TF1's, and those of Keras' optimizers.

    Args:
        keys: The checkpoint's tensors.
        graph: Its object graph; None where names have to tell.

    Returns:
        Key of a weight to key of its average; none for a shadow model, which is found as
        an object of its own.
    """
    if graph is None:
        known = set(keys)
        bases = {
            key.removesuffix(":0").removesuffix(AVERAGE_SUFFIX): key
            for key in known
            if key.removesuffix(":0").endswith(AVERAGE_SUFFIX)
        }
        return {
            base if base in known or f"{base}:0" not in known else f"{base}:0": key
            for base, key in bases.items()
        }
    found = dict(_by_suffix(graph))
    for number, node in enumerate(graph.nodes):
        if any(name == _AVERAGES for name, _ in node.children):
            found.update(_of_optimizer(graph, number))
    return found


def orphaned_averages(keys: Iterable[str], graph: ObjectGraph | None) -> list[str]:
    """The averages that belong to no weight of a checkpoint, by their names: it had another scope, say.

    Args:
        keys: The checkpoint's tensors, with the names of those that are stored in parts.
        graph: Its object graph; None where names have to tell.
    """
    if graph is None:
        known = set(keys)
        averages = find_averages(known, None)
        return sorted(average for weight, average in averages.items() if weight not in known)
    found = set(find_averages((), graph).values())
    lists = (_listed(graph, number, _AVERAGES) for number in range(len(graph.nodes)))
    named = (tensor for node in graph.nodes for tensor in node.variables())
    held = {tensor.key for tensor in named if tensor.full_name.endswith(AVERAGE_SUFFIX)}
    return sorted((held | {tensor.key for tensors in lists for tensor in tensors}) - found)


def _by_suffix(graph: ObjectGraph) -> Iterator[tuple[str, str]]:
    tensors = list(chain.from_iterable(node.variables() for node in graph.nodes))
    keys = {tensor.full_name: tensor.key for tensor in tensors}
    for tensor in tensors:
        average = keys.get(f"{tensor.full_name}{AVERAGE_SUFFIX}")
        if average is not None:
            yield tensor.key, average


def _of_optimizer(graph: ObjectGraph, number: int) -> dict[str, str]:
    """The averages of a Keras optimizer: next to its list of weights, or by their names."""
    averages, trained = _listed(graph, number, _AVERAGES), _listed(graph, number, _TRAINED)
    if len(averages) == len(trained):
        return {weight.key: average.key for weight, average in zip(trained, averages, strict=True)}
    names: dict[str, set[str]] = {}
    for node in graph.nodes:
        for tensor in node.variables():
            for name in (f"average/{tensor.full_name}", f"{tensor.full_name.replace('/', '_')}_average"):
                names.setdefault(name, set()).add(tensor.key)
    found = {}
    for average in averages:
        own = average.full_name
        weights = names.get(own) or names.get(own.partition("/")[2]) or set()
        if len(weights) == 1:
            found[next(iter(weights))] = average.key
    return found


def _listed(graph: ObjectGraph, number: int, attribute: str) -> list[SavedTensor]:
    """The variables of a list, in its order."""
    held = graph.child(number, attribute)
    if held is None:
        return []
    children = graph.nodes[held].children
    places = [number_of(name) for name, _ in children]
    if None not in places:
        children = tuple(
            child for _, child in sorted(zip(places, children, strict=True), key=lambda pair: pair[0] or 0)
        )
    return [tensor for _, target in children for tensor in graph.nodes[target].variables()]
