"""Draft a definition from the configuration in a Keras file, if the model has only Keras' own layers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from redraw.checkpoint.formats.configuration import Configuration
from redraw.checkpoint.formats.foreign import find_files, find_foreign
from redraw.checkpoint.formats.source import CheckpointSource
from redraw.definition import ConfiguredDefinition, Mode, Signature, TensorSpec
from redraw.draft.module_text import signature_lines
from redraw.errors import CheckpointMismatch, InvalidDefinition, RedrawError, one_line, short_list
from redraw.export.graph.declared import draw_declared
from redraw.networks.modules import draw_network, weights_by_name

# The modules of Keras whose classes do nothing but compute.
_MODULES = {
    "builtins",
    "keras",
    "keras.activations",
    "keras.constraints",
    "keras.dtype_policies",
    "keras.initializers",
    "keras.layers",
    "keras.models",
    "keras.random",
    "keras.regularizers",
}
_STORED_KEYS = ("class_name", "config", "module", "registered_name", "build_config")
# These classes load other files, or run code that is not in the graph.
_LOADING = {"TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper", "KerasLayer", "TFOpLambda"}


def configuration_text(source: CheckpointSource, configuration: Configuration) -> bytes:
    """The configuration in the form in which the definition stores it.

    Args:
        source: The file.
        configuration: The configuration in it.

    Returns:
        JSON.

    Raises:
        InvalidDefinition: It needs classes that Keras does not have, or reads files; the message names them.
    """
    model = {key: _plain(configuration.model[key]) for key in _STORED_KEYS if key in configuration.model}
    foreign = [*find_foreign(model, keras_2=configuration.keras_2), *_loading(model, configuration.keras_2)]
    if foreign:
        raise InvalidDefinition(
            f"{source.uri}: expected only Keras' own layers, got"
            f" {short_list(sorted(set(foreign)), 'classes')}, whose code Redraw does not load from a file."
            " Write the model as a definition."
        )
    if files := sorted(set(find_files(model))):
        raise InvalidDefinition(
            f"{source.uri}: expected vocabularies in the configuration, got layers that read the files"
            f" {short_list(files, 'files')}. Write the model as a definition."
        )
    _put_vocabularies(model, configuration.vocabularies)
    stored = {"keras_2": configuration.keras_2, "model": model}
    return json.dumps(stored, indent=1, sort_keys=True, allow_nan=False).encode()


def _plain(config: Any) -> Any:
    """A copy with lists instead of tuples, which a SavedModel's configuration marks by a class name."""
    if isinstance(config, dict):
        if config.get("class_name") in ("__tuple__", "TensorShape") and isinstance(config.get("items"), list):
            return [_plain(item) for item in config["items"]]
        return {key: _plain(item) for key, item in config.items()}
    return [_plain(item) for item in config] if isinstance(config, list) else config


def _loading(config: Any, keras_2: bool) -> Iterator[str]:
    if isinstance(config, list):
        for item in config:
            yield from _loading(item, keras_2)
    if not isinstance(config, dict):
        return
    name, module = config.get("class_name"), config.get("module")
    if isinstance(name, str) and "config" in config:
        public = str(module).replace("keras.src", "keras").replace("tf_keras", "keras")
        root = ".".join(public.split(".")[:2])
        if name in _LOADING or (not keras_2 and isinstance(module, str) and root not in _MODULES):
            yield f"{module}.{name}"
    for item in config.values():
        yield from _loading(item, keras_2)


def _put_vocabularies(config: Any, vocabularies: Mapping[str, Any]) -> None:
    """Put vocabularies into the layers' configuration; Keras 3 stores them in files of the archive."""
    if isinstance(config, list):
        for item in config:
            _put_vocabularies(item, vocabularies)
    if isinstance(config, dict):
        if "vocabulary" in config and config.get("name") in vocabularies and not config["vocabulary"]:
            config["vocabulary"] = list(vocabularies[config["name"]])
        for item in config.values():
            _put_vocabularies(item, vocabularies)


def keras_module_text(model: str, place: str, source: CheckpointSource, text: bytes) -> str:
    """Write a definition's module.

    Args:
        model: The model's name.
        place: Where the definition reads the configuration from.
        source: The file with the weights.
        text: The configuration from `configuration_text`.

    Returns:
        Python code.

    Raises:
        InvalidDefinition: The model cannot be built, or its inputs' shapes are not known.
        CheckpointMismatch: The file has other weights than the configuration's layers.
    """
    stored = json.loads(text)
    definition: Any = type("Drafted", (ConfiguredDefinition,), {"stored": stored, "__module__": __name__})()
    try:
        network = draw_declared(
            lambda declarations: draw_network(definition, Mode.SERVE, declarations.in_force())
        )
    except RedrawError as err:
        raise InvalidDefinition(
            f"{source.uri}: Keras cannot build the model from its configuration: {one_line(err, 300)}."
            " Write the model as a definition."
        ) from err
    renames = _renames(network, source) if source.format == "keras_h5" else {}
    made_by = "Keras 2" if stored["keras_2"] else "Keras 3"
    lines = [
        f'"""{model}, as its configuration by {made_by} says."""',
        "",
        "from redraw import ConfiguredDefinition, Signature, TensorSpec",
        "",
        "",
        f"class {''.join(part.title() for part in model.split('_'))}(ConfiguredDefinition):",
        f'    """{len(network.layers)} layers of Keras\' own."""',
        "",
        f"    configuration = {place!r}",
        f"    digest = {hashlib.sha256(text).hexdigest()!r}",
        *(["    # Keras 2 finds weights by the order of layers."] if renames else []),
        *(
            ["    renames = (", *(f"        {pair!r}," for pair in renames.items()), "    )"]
            if renames
            else []
        ),
        "    signatures = {",
        *signature_lines("serving_default", _signature(network, source.uri)),
        "    }",
    ]
    return "\n".join(lines) + "\n"


def _signature(network: Any, uri: str) -> Signature:
    inputs, outputs = getattr(network, "inputs", None), getattr(network, "outputs", None)
    if not inputs or not outputs:
        raise InvalidDefinition(
            f"{uri}: expected a configuration with the shapes of its inputs, got none, because the model"
            " was never built. Write the model as a definition."
        )
    answers = getattr(network, "output_names", None) or [f"output_{n}" for n in range(len(outputs))]
    asks = getattr(network, "input_names", None) or [tensor.name for tensor in inputs]
    return Signature(inputs=_specs(asks, inputs), outputs=_specs(answers, outputs))


def _specs(names: list[str], tensors: list[Any]) -> dict[str, TensorSpec]:
    unique = names if len(set(names)) == len(names) else [f"{name}_{n}" for n, name in enumerate(names)]
    return {
        name.partition(":")[0]: TensorSpec(
            dtype=getattr(tensor.dtype, "name", str(tensor.dtype)), shape=(None, *tuple(tensor.shape)[1:])
        )
        for name, tensor in zip(unique, tensors, strict=True)
    }


def _renames(network: Any, source: CheckpointSource) -> dict[str, str]:
    """Variable name to key, by the order in which Keras 2 stores layers and their weights."""
    rows = getattr(source, "layer_order", ())
    layers = [layer for layer in network.layers if layer.weights]
    names = {id(variable): name for name, variable in weights_by_name(network).items()}
    ordered = [[*layer.trainable_weights, *layer.non_trainable_weights] for layer in layers]
    if [len(row) for row in rows] != [len(row) for row in ordered]:
        raise CheckpointMismatch(
            f"{source.uri}: expected weights of {len(layers)} layers, as in the configuration, got weights"
            f" of {len(rows)} layers, or another number of weights in a layer. Write the model as a"
            " definition."
        )
    pairs = zip((v for row in ordered for v in row), (key for row in rows for key in row), strict=True)
    return {names[id(variable)]: key for variable, key in pairs if id(variable) in names}
