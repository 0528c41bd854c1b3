"""The layers that a file's configuration describes; nothing of it is ever built or called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from redraw.networks.layers.functions import ACTIVATIONS, layer_function, named_function
from redraw.networks.layers.layer import Layer, Model, canonical_kind
from redraw.networks.layers.settings import split_activation

__all__ = ["Unreadable", "read_model"]

_MOST_LAYERS = 20_000
_LISTS = ("Functional", "Sequential", "Model")
_TENSOR = "__keras_tensor__"

# Which output of which call: a layer's name and the number of its call.
_Reference = tuple[str, int]


class Unreadable(Exception):
    """The configuration cannot be read as layers; the message says what is wrong."""


def read_model(config: Mapping[str, Any], *, keras_2: bool) -> Model:
    """Read a model's configuration.

    Args:
        config: What Keras writes of a model: `class_name` and `config`. It may be anybody's.
        keras_2: Whether Keras 2 wrote it, in which some names mean something else.

    Returns:
        Its layers, with those of models in it; without calls of a model that is a class of its own.

    Raises:
        Unreadable: It is not what Keras writes, or far too large.
    """
    try:
        return _Reader(keras_2).read(config)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as err:
        raise Unreadable(f"{type(err).__name__}: {str(err)[:100]}") from err


class _Reader:
    def __init__(self, keras_2: bool) -> None:
        self._keras_2 = keras_2
        self._layers: list[Layer] = []

    def read(self, config: Mapping[str, Any]) -> Model:
        if not _is_list_of_layers(config):
            self._list(config)
            return Model(layers=tuple(self._layers))
        outputs = self._run(config, None)
        return Model(layers=tuple(self._layers), outputs=tuple(outputs))

    def _list(self, config: Any) -> None:
        """The layers of a model whose calls are not in its configuration."""
        for item in _dicts_in(config):
            settings = item.get("config")
            if isinstance(settings, dict) and isinstance(settings.get("name"), str) and "class_name" in item:
                self._layer(item, ())

    def _run(self, config: Mapping[str, Any], inputs: Sequence[Layer] | None) -> list[Layer]:
        settings = config["config"]
        layers = settings["layers"] if isinstance(settings, dict) else settings
        if config["class_name"] == "Sequential":
            return self._chain(layers, inputs)
        return self._calls(settings, layers, inputs)

    def _chain(self, layers: Sequence[Any], inputs: Sequence[Layer] | None) -> list[Layer]:
        last = list(inputs) if inputs else []
        for item in layers:
            if item["class_name"] != "InputLayer":
                last = self._called(item, last)
            elif not last:
                last = [self._layer(item, ())]
        return last

    def _calls(self, settings: Any, layers: Any, inputs: Sequence[Layer] | None) -> list[Layer]:
        begins = list(_references(settings["input_layers"]))
        made: dict[_Reference, list[Layer]] = {}
        for number, reference in enumerate(begins if inputs is not None else ()):
            made[reference] = [inputs[min(number, len(inputs) - 1)]] if inputs else []
        pending = list(_planned(layers, settings["output_layers"]))
        while pending:
            waiting = []
            for item, reference, needs in pending:
                if reference in made:
                    continue
                if all(need in made for need in needs):
                    # An output of several is not distinguished from the others: what makes it is the same.
                    made[reference] = self._called(item, [layer for need in needs for layer in made[need]])
                else:
                    waiting.append((item, reference, needs))
            if len(waiting) == len(pending):
                raise Unreadable(f"layer {waiting[0][1][0]!r} is called with what nothing makes")
            pending = waiting
        return [made[reference][0] for reference in _references(settings["output_layers"])]

    def _called(self, item: Mapping[str, Any], inputs: Sequence[Layer]) -> list[Layer]:
        return self._run(item, inputs) if _is_list_of_layers(item) else [self._layer(item, inputs)]

    def _layer(self, item: Mapping[str, Any], inputs: Sequence[Layer]) -> Layer:
        if len(self._layers) >= _MOST_LAYERS:
            raise Unreadable(f"it has more than {_MOST_LAYERS} calls of layers")
        settings = self._settings(item["config"])
        kind = canonical_kind(str(item["class_name"]))
        if kind in ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer") or ".ops." in str(
            item.get("module")
        ):
            constants = () if self._keras_2 else _constants(item.get("inbound_nodes"))
            kind, settings = f"operation {kind}", {"arguments": list(constants)}
        name = str(item["config"].get("name") or item.get("name") or kind)
        made = split_activation(Layer(name=name, kind=kind, settings=settings, inputs=tuple(inputs)))
        self._layers.append(made)
        return made

    def _settings(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        return {key: self._value(key, value) for key, value in settings.items()}

    def _value(self, key: str, value: Any) -> Any:
        if key.endswith("activation") and isinstance(value, str):
            return named_function(value, keras_2=self._keras_2)
        if isinstance(value, dict) and isinstance(value.get("config"), str) and "class_name" in value:
            return named_function(value["config"], keras_2=self._keras_2)
        if isinstance(value, dict) and isinstance(value.get("config"), dict) and "class_name" in value:
            settings = self._settings(value["config"])
            if key.endswith("activation") and value["class_name"] in ACTIVATIONS:
                return layer_function(value["class_name"], settings)
            return {"class_name": value["class_name"], "config": settings}
        if isinstance(value, dict) and value.get("type") == "ndarray":
            return value.get("value")  # a number, as Keras wrote it before 2.3
        if isinstance(value, list):
            return [self._value("", item) for item in value]
        return value


def _is_list_of_layers(item: Mapping[str, Any]) -> bool:
    settings = item.get("config")
    if item.get("class_name") == "Sequential" and isinstance(settings, list):
        return True  # as Keras wrote it before 2.3
    return (
        isinstance(settings, dict)
        and "layers" in settings
        and (item["class_name"] in _LISTS or "input_layers" in settings)
    )


def _planned(layers: Any, outputs: Any) -> Iterator[tuple[Any, _Reference, list[_Reference]]]:
    """Every call: its layer, its reference, and the references of what it is called with."""
    used = [*_references([item.get("inbound_nodes") for item in layers]), *_references(outputs)]
    for item in layers:
        name, nodes = str(item.get("name") or item["config"]["name"]), item.get("inbound_nodes") or [None]
        # A model's own inputs may be counted as its first call.
        last = max((number for known, number in used if known == name), default=0)
        first = max(0, last + 1 - len(nodes)) if _is_list_of_layers(item) else 0
        for number, node in enumerate(nodes, first):
            yield item, (name, number), list(_references(node))


def _references(node: Any) -> Iterator[_Reference]:
    """The tensors that a node's arguments, or a model's inputs and outputs, are."""
    if isinstance(node, list | tuple):
        if _is_reference(node):
            yield node[0], node[1]
            node = node[3:]
        for item in node:
            yield from _references(item)
    elif isinstance(node, dict):
        if node.get("class_name") == _TENSOR:
            name, number, _ = node["config"]["keras_history"]
            yield name, number
            return
        for key, item in sorted(node.items()):
            # A mask follows from what is called before.
            yield from _references(item) if key != "mask" else ()


def _is_reference(node: Sequence[Any]) -> bool:
    return len(node) >= 3 and isinstance(node[0], str) and all(type(number) is int for number in node[1:3])


def _constants(nodes: Any) -> Iterator[Any]:
    """The numbers and texts that an operation is called with."""
    if isinstance(nodes, list):
        for item in nodes:
            yield from _constants(item)
    elif isinstance(nodes, dict):
        if nodes.get("class_name") != _TENSOR:
            for _, item in sorted(nodes.items()):
                yield from _constants(item)
    elif nodes is not None:
        yield nodes


def _dicts_in(config: Any) -> Iterator[dict[str, Any]]:
    pending = [config]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            yield item
            pending.extend(value for key, value in item.items() if key != "compile_config")
        elif isinstance(item, list):
            pending.extend(item)
