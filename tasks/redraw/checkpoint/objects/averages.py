"""Match moving averages with their weights, for every common way of storing them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from redraw.checkpoint.objects.trackable import ObjectGraph, SavedTensor, number_of

AVERAGE_SUFFIX = "/ExponentialMovingAverage"
# Common names of a second model that holds the averages: `tf.train.Checkpoint(NAME=…)`.
SHADOW_MODELS = ("average", "averages", "ema", "ema_model", "model_ema", "shadow", "shadow_model")

_TRAINED, _AVERAGES = "_trainable_variables", "_model_variables_moving_average"


def find_averages(keys: Iterable[str], graph: ObjectGraph | None) -> dict[str, str]:
    """Find the averages that are stored next to the weights, by TF1 and by Keras' optimizers.

    Args:
        keys: The checkpoint's tensors.
        graph: Its object graph; None if there is none, and names decide.

    Returns:
        Key of a weight to key of its average; nothing for a shadow model, which is an object
        of its own.
    """
    if graph is None:
        weights = set(keys)
        bases = {
            key.removesuffix(":0").removesuffix(AVERAGE_SUFFIX): key
            for key in weights
            if key.removesuffix(":0").endswith(AVERAGE_SUFFIX)
        }
        return {
            base if base in weights or f"{base}:0" not in weights else f"{base}:0": key
            for base, key in bases.items()
        }
    averages = dict(_by_suffix(graph))
    for number, node in enumerate(graph.nodes):
        if any(name == _AVERAGES for name, _ in node.children):
            averages.update(_of_optimizer(graph, number))
    return averages


def orphaned_averages(keys: Iterable[str], graph: ObjectGraph | None) -> list[str]:
    """The averages without a weight in the checkpoint, for example because it had another scope.

    Args:
        keys: The checkpoint's tensors, with the names of those that are stored in parts.
        graph: Its object graph; None if there is none, and names decide.
    """
    if graph is None:
        weights = set(keys)
        averages = find_averages(weights, None)
        return sorted(average for weight, average in averages.items() if weight not in weights)
    used = set(find_averages((), graph).values())
    lists = (_variables_in_list(graph, number, _AVERAGES) for number in range(len(graph.nodes)))
    named = (tensor for node in graph.nodes for tensor in node.variables())
    average_keys = {tensor.key for tensor in named if tensor.full_name.endswith(AVERAGE_SUFFIX)}
    return sorted((average_keys | {tensor.key for tensors in lists for tensor in tensors}) - used)


def _by_suffix(graph: ObjectGraph) -> Iterator[tuple[str, str]]:
    tensors = list(chain.from_iterable(node.variables() for node in graph.nodes))
    keys = {tensor.full_name: tensor.key for tensor in tensors}
    for tensor in tensors:
        average = keys.get(f"{tensor.full_name}{AVERAGE_SUFFIX}")
        if average is not None:
            yield tensor.key, average


def _of_optimizer(graph: ObjectGraph, number: int) -> dict[str, str]:
    """The averages of a Keras optimizer, matched by their order in its lists or by their names."""
    averages, trained = (
        _variables_in_list(graph, number, _AVERAGES),
        _variables_in_list(graph, number, _TRAINED),
    )
    if len(averages) == len(trained):
        return {weight.key: average.key for weight, average in zip(trained, averages, strict=True)}
    names: dict[str, set[str]] = {}
    for node in graph.nodes:
        for tensor in node.variables():
            for name in (f"average/{tensor.full_name}", f"{tensor.full_name.replace('/', '_')}_average"):
                names.setdefault(name, set()).add(tensor.key)
    averages_by_weight = {}
    for average in averages:
        own = average.full_name
        weights = names.get(own) or names.get(own.partition("/")[2]) or set()
        if len(weights) == 1:
            averages_by_weight[next(iter(weights))] = average.key
    return averages_by_weight


def _variables_in_list(graph: ObjectGraph, number: int, attribute: str) -> list[SavedTensor]:
    """The variables of a list, in its order."""
    container = graph.child(number, attribute)
    if container is None:
        return []
    children = graph.nodes[container].children
    places = [number_of(name) for name, _ in children]
    if None not in places:
        children = tuple(
            child for _, child in sorted(zip(places, children, strict=True), key=lambda pair: pair[0] or 0)
        )
    return [tensor for _, target in children for tensor in graph.nodes[target].variables()]
