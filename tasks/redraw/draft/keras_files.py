"""Draft a definition from a Keras file: the configuration inside of it, only of Keras' own layers."""

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

# Of Keras' own modules those whose classes only compute.
_MODULES = {
    "keras",
    "keras.layers",
    "keras.models",
    "keras.initializers",
    "keras.regularizers",
    "builtins",
    "keras.constraints",
    "keras.dtype_policies",
    "keras.activations",
    "keras.random",
}
_KEPT = ("class_name", "config", "module", "registered_name", "build_config")
# These load what lies elsewhere, or run what no graph says.
_LOADING = {"TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper", "KerasLayer", "TFOpLambda"}


def configuration_text(source: CheckpointSource, configuration: Configuration) -> bytes:
    """The configuration as the definition keeps it.

    Args:
        source: The file.
        configuration: What it says of its model.

    Returns:
        JSON.

    Raises:
        InvalidDefinition: It needs code that Keras does not have, or reads files: all of it is named.
    """
    model = {key: _plain(configuration.model[key]) for key in _KEPT if key in configuration.model}
    foreign = [*find_foreign(model, keras_2=configuration.keras_2), *_loading(model, configuration.keras_2)]
    if foreign:
        raise InvalidDefinition(
            f"{source.uri}: expected a model of Keras' own layers, got"
            f" {short_list(sorted(set(foreign)), 'classes')}: code that is never loaded from a file. Write"
            " the model as a definition."
        )
    if files := sorted(set(find_files(model))):
        raise InvalidDefinition(
            f"{source.uri}: expected a configuration with its words, got layers that read"
            f" {short_list(files, 'files')}. Write the model as a definition."
        )
    _put_words(model, configuration.vocabularies)
    stored = {"keras_2": configuration.keras_2, "model": model}
    return json.dumps(stored, indent=1, sort_keys=True, allow_nan=False).encode()


def _plain(config: Any) -> Any:
    """A copy with lists in the place of tuples, which a SavedModel's configuration marks as such."""
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


def _put_words(config: Any, vocabularies: Mapping[str, Any]) -> None:
    """Keras 3 keeps a layer's words in a file of the archive: here they stand in its configuration."""
    if isinstance(config, list):
        for item in config:
            _put_words(item, vocabularies)
    if isinstance(config, dict):
        if "vocabulary" in config and config.get("name") in vocabularies and not config["vocabulary"]:
            config["vocabulary"] = list(vocabularies[config["name"]])
        for item in config.values():
            _put_words(item, vocabularies)


def keras_module_text(model: str, place: str, source: CheckpointSource, text: bytes) -> str:
    """Write a definition's module.

    Args:
        model: Its name.
        place: Where the configuration is read from.
        source: The file with the weights.
        text: The configuration, as `configuration_text` gives it.

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
            f"{source.uri}: expected a configuration that Keras builds, got: {one_line(err, 300)}"
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
            f"{uri}: expected a configuration with the shapes of its inputs, got none: the model was never"
            " built. Write the model as a definition."
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
    """Variable's name to its key, by the order in which Keras 2 keeps layers and their weights."""
    rows = getattr(source, "layer_order", ())
    layers = [layer for layer in network.layers if layer.weights]
    names = {id(variable): name for name, variable in weights_by_name(network).items()}
    ordered = [[*layer.trainable_weights, *layer.non_trainable_weights] for layer in layers]
    if [len(row) for row in rows] != [len(row) for row in ordered]:
        raise CheckpointMismatch(
            f"{source.uri}: expected the weights of {len(layers)} layers, as the configuration has them, got"
            f" those of {len(rows)}, or other numbers of them. Write the model as a definition."
        )
    pairs = zip((v for row in ordered for v in row), (key for row in rows for key in row), strict=True)
    return {names[id(variable)]: key for variable, key in pairs if id(variable) in names}
