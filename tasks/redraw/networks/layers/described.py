"""Read the layers in a file's configuration, without building or calling any of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from redraw.networks.layers.calls import CONSTANT, constants, in_order, keywords, operation_of_keras_2
from redraw.networks.layers.functions import ACTIVATIONS, layer_function, named_function
from redraw.networks.layers.layer import Layer, Model, canonical_kind, nth_output
from redraw.networks.layers.settings import split_activation

_MOST_LAYERS = 20_000
_LISTS = ("Functional", "Sequential", "Model")
_TENSOR = "__keras_tensor__"

# An output of a call: a layer's name, the number of its call, and the number of the output.
_Reference = tuple[str, int, int]
_Call = tuple[str, int]
_OPERATIONS = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")
_ARRAYS = ("__numpy__", "__tensor__")


class Unreadable(Exception):
    """The configuration cannot be read as layers; the message says what is wrong."""


def read_model(config: Mapping[str, Any], *, keras_2: bool) -> Model:
    """Read a model's configuration.

    Args:
        config: `class_name` and `config` that Keras writes; not trusted.
        keras_2: Whether Keras 2 wrote it; some names have another meaning there.

    Returns:
        Its layers, including those of inner models; without calls if the model is a custom class.

    Raises:
        Unreadable: Keras does not write such a configuration, or it is far too large.
    """
    try:
        return _Reader(keras_2).read(config)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as err:
        raise Unreadable(f"{type(err).__name__}: {str(err)[:100]}") from err


class _Reader:
    def __init__(self, keras_2: bool) -> None:
        self._keras_2 = keras_2
        self._layers: list[Layer] = []
        self._inputs: list[Layer] = []

    def read(self, config: Mapping[str, Any]) -> Model:
        if not _is_list_of_layers(config):
            self._list_layers(config)
            own = self._make_layer({**config, "config": {"name": "model", **config["config"]}}, ())
            return Model(layers=tuple(self._layers), own=own)
        outputs = self._run(config, None)
        return Model(layers=tuple(self._layers), outputs=tuple(outputs), inputs=tuple(self._inputs))

    def _list_layers(self, config: Any) -> None:
        """List the layers of a model whose configuration has no calls."""
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
                last = self._call(item, last)
            elif not last:
                last = self._inputs = [self._layer(item, ())]
        return last

    def _calls(self, settings: Any, layers: Any, inputs: Sequence[Layer] | None) -> list[Layer]:
        begins = [(name, call) for name, call, _ in _references(settings["input_layers"])]
        made: dict[_Call, list[Layer]] = {}
        for number, call in enumerate(begins if inputs is not None else ()):
            made[call] = [inputs[min(number, len(inputs) - 1)]] if inputs else []
        pending = list(_planned(layers, settings["output_layers"]))
        while pending:
            waiting = []
            for item, call, node in pending:
                if call in made:
                    continue
                needs = list(_references(node))
                if all(need[:2] in made for need in needs):
                    made[call] = self._call(
                        item, [layer for need in needs for layer in _outputs(made, need)], node
                    )
                else:
                    waiting.append((item, call, node))
            if len(waiting) == len(pending):
                raise Unreadable(f"layer {waiting[0][1][0]!r} is called with a tensor that no layer returns")
            pending = waiting
        if inputs is None:
            self._inputs = [layer for call in begins for layer in made[call]]
        return [layer for need in _references(settings["output_layers"]) for layer in _outputs(made, need)]

    def _call(self, item: Mapping[str, Any], inputs: Sequence[Layer], node: Any = None) -> list[Layer]:
        return self._run(item, inputs) if _is_list_of_layers(item) else [self._layer(item, inputs, node)]

    def _layer(self, item: Mapping[str, Any], inputs: Sequence[Layer], node: Any = None) -> Layer:
        if len(self._layers) >= _MOST_LAYERS:
            raise Unreadable(f"the model has more than {_MOST_LAYERS} calls of layers")
        self._layers.append(self._make_layer(item, inputs, node))
        return self._layers[-1]

    def _make_layer(self, item: Mapping[str, Any], inputs: Sequence[Layer], node: Any = None) -> Layer:
        settings = self._settings(item["config"])
        kind = canonical_kind(str(item["class_name"]))
        # Keras 3 omits modules in HDF5 files; there an operation is an entry without `trainable`.
        bare = not self._keras_2 and node is not None and not {"module", "trainable"} & {*item, *settings}
        if kind in _OPERATIONS or ".ops." in str(item.get("module")) or bare:
            kind, settings = self._operation(kind, settings, node)
        name = str(item["config"].get("name") or item.get("name") or kind)
        written_by = "" if self._keras_2 else kind
        called_with = None if node is None else keywords(dict(_keywords(node)), written_by)
        return split_activation(
            Layer(name=name, kind=kind, settings=settings, inputs=tuple(inputs), called_with=called_with)
        )

    def _operation(self, kind: str, settings: Mapping[str, Any], node: Any) -> tuple[str, dict[str, Any]]:
        """The kind of an operation, and its settings and arguments."""
        if self._keras_2:
            operation = operation_of_keras_2(settings.get("function"), node) if node else None
            return (
                (f"operation {operation[0]}", {"arguments": operation[1]})
                if operation
                else (f"operation {kind}", {})
            )
        own = {key: value for key, value in settings.items() if key not in ("name", "dtype")}
        arguments = [item for key in ("args", "kwargs") for item in constants(node[key])]
        return f"operation {kind}", {**own, "arguments": arguments}

    def _settings(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        return {key: self._value(key, value) for key, value in settings.items()}

    def _value(self, key: str, value: Any) -> Any:
        if key.endswith("activation") and isinstance(value, str):
            return named_function(value, keras_2=self._keras_2)
        if isinstance(value, dict) and isinstance(value.get("config"), str) and "class_name" in value:
            return named_function(value["config"], keras_2=self._keras_2)
        if isinstance(value, dict) and isinstance(value.get("config"), dict) and "class_name" in value:
            if value["class_name"] in _ARRAYS:
                return value["config"].get("value")
            settings = self._settings(value["config"])
            if key.endswith("activation") and value["class_name"] in ACTIVATIONS:
                return layer_function(value["class_name"], settings)
            return {"class_name": value["class_name"], "config": settings}
        if isinstance(value, dict) and isinstance(value.get("items"), list):
            return [self._value("", item) for item in value["items"]]  # a tuple in a SavedModel
        if isinstance(value, dict) and value.get("type") == "ndarray":
            return value.get("value")  # a number in Keras before 2.3
        if isinstance(value, list):
            return [self._value("", item) for item in value]
        return value


def _is_list_of_layers(item: Mapping[str, Any]) -> bool:
    settings = item.get("config")
    if item.get("class_name") == "Sequential" and isinstance(settings, list):
        return True  # the form before Keras 2.3
    return (
        isinstance(settings, dict)
        and "layers" in settings
        and (item["class_name"] in _LISTS or "input_layers" in settings)
    )


def _outputs(made: Mapping[_Call, Sequence[Layer]], need: _Reference) -> list[Layer]:
    """The referenced output of a call; a single layer stands for all of its outputs."""
    outputs, number = made[need[:2]], need[2]
    if len(outputs) == 1:
        return [nth_output(outputs[0], number)]
    return list(outputs[number : number + 1])


def _planned(layers: Any, outputs: Any) -> Iterator[tuple[Any, _Call, Any]]:
    """Every call: its layer, its name and number, and the node with its arguments."""
    used = [*_references([item.get("inbound_nodes") for item in layers]), *_references(outputs)]
    for item in layers:
        name, nodes = str(item.get("name") or item["config"]["name"]), item.get("inbound_nodes") or [None]
        # A model's own inputs may count as its first call.
        last = max((number for other, number, _ in used if other == name), default=0)
        first = max(0, last + 1 - len(nodes)) if _is_list_of_layers(item) else 0
        for number, node in enumerate(nodes, first):
            yield item, (name, number), node


def _references(node: Any) -> Iterator[_Reference]:
    """The tensors in a node's arguments, or in a model's inputs and outputs."""
    if isinstance(node, list | tuple):
        if _is_reference(node):
            yield node[0], node[1], node[2]
        for item in node:
            # Keras 2 writes the keywords of a call after its first tensor.
            yield from (
                _of_keywords(item) if isinstance(item, dict) and _begins_call(node) else _references(item)
            )
    elif isinstance(node, dict):
        if node.get("class_name") == _TENSOR:
            name, call, number = node["config"]["keras_history"]
            yield name, call, number
        elif isinstance(node.get("kwargs"), dict):
            yield from _references(node.get("args"))
            yield from _of_keywords(node["kwargs"])
        else:
            for _, item in sorted(node.items()):
                yield from _references(item)


def _of_keywords(keywords: Mapping[str, Any]) -> Iterator[_Reference]:
    for _, item in in_order(keywords):
        yield from _references(item)


def _begins_call(node: Sequence[Any]) -> bool:
    return _is_reference(node) or (bool(node) and node[0] == CONSTANT)


def _keywords(node: Any) -> Iterator[tuple[str, Any]]:
    """The keywords of a call, in the form of any version of Keras."""
    if isinstance(node, dict):
        yield from (node["kwargs"] if isinstance(node.get("kwargs"), dict) else node).items()
    elif isinstance(node, list | tuple):
        for item in node:
            yield from _keywords(item)


def _is_reference(node: Sequence[Any]) -> bool:
    numbered = len(node) >= 3 and isinstance(node[0], str) and node[0] != CONSTANT
    return numbered and all(type(number) is int for number in node[1:3])


def _dicts_in(config: Any) -> Iterator[dict[str, Any]]:
    pending = [config]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            yield item
            pending.extend(value for key, value in item.items() if key != "compile_config")
        elif isinstance(item, list):
            pending.extend(item)
