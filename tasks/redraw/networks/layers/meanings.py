"""Find names that mean different computations in Keras 2 and Keras 3, for files without a configuration.

The differences were found by running every layer and activation of both, with defaults and with masks.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from redraw.checkpoint.formats.writer import Writer
from redraw.networks.layers.functions import named_function, same_function
from redraw.networks.layers.layer import Function, Layer, Model

_CONVOLVED = ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
_GATED = ("LSTM", "GRU")
# The cells of LSTM and GRU belong to these; others have the name of their layer.
_CELLS = ("LSTMCell", "GRUCell")
# Their layers are also among all layers.
_LISTED = ("Bidirectional", "Model", "Functional", "Sequential")
_GATE = "recurrent_activation"
_CLIPPED = "lambda x: tf.clip_by_value(0.2 * x + 0.5, 0.0, 1.0)"
# The layers of Keras that do not use a mask: they pass it on, or end it.
_MASKLESS = frozenset(
    {
        "Dense",
        "EinsumDense",
        "Activation",
        "ReLU",
        "LeakyReLU",
        "ELU",
        "PReLU",
        "Dropout",
        "Identity",
        "LayerNormalization",
        "BatchNormalization",
        "GroupNormalization",
        "UnitNormalization",
        "Rescaling",
        "Add",
        "Subtract",
        "Multiply",
        "Average",
        "Maximum",
        "Minimum",
        "Concatenate",
        "Dot",
        "Masking",
        "Flatten",
        "Reshape",
        "Permute",
        "RepeatVector",
        "Conv1D",
        "Conv2D",
        "SeparableConv1D",
        "Embedding",
        "GlobalMaxPooling1D",
        "MaxPooling1D",
        "AveragePooling1D",
        "SpatialDropout1D",
        "GaussianNoise",
        "GaussianDropout",
        "ActivityRegularization",
        "ZeroPadding1D",
        "Cropping1D",
        "UpSampling1D",
    }
)


def other_meanings(model: Model, writer: Writer) -> Iterator[str]:
    """Find names or defaults that mean something else in the Keras that wrote the weights.

    Args:
        model: The model that the definition builds with Keras 3.
        writer: The writer of the checkpoint, which does not describe layers; not Keras 3.

    Yields:
        A message for each, with layer, setting, and what to write.
    """
    for layer in model.every:
        if layer.kind in _LISTED:
            continue
        for key, kind, settings in _parts(layer.kind, layer.settings):
            place = f"layer {layer}, {key}" if key else f"layer {layer}, "
            for name, value in settings.items():
                if isinstance(value, Function) and same_function(value, _keras_3("hard_sigmoid")):
                    yield (
                        f"{place}{name}: the definition uses hard_sigmoid of Keras 3, and the file was"
                        " written by an older Keras, whose hard_sigmoid computes other values; set this"
                        f" argument to {_clipped(layer)}"
                    )
            gate = settings.get(_GATE)
            default = isinstance(gate, Function) and gate.default
            first = kind in _GATED or (kind in _CELLS and key and layer.kind == "RNN")
            if default and (kind in _CONVOLVED or (writer.first_gates and first)):
                yield (
                    f"{place}{_GATE}: the definition uses the default of Keras 3, sigmoid, and the Keras"
                    " that wrote the file may have used its own default, hard_sigmoid; set this argument"
                    f" to {_clipped(layer)}, or to tf.sigmoid in the same way if the model was trained with"
                    " sigmoid"
                )


def other_masks(model: Model) -> Iterator[str]:
    """Find layers that use a merged mask, which Keras 2 and Keras 3 compute differently.

    Args:
        model: The model that the definition builds with Keras 3, for a file that Keras 3 did not write.

    Yields:
        A message for each, with both layers, and what to write.
    """
    origins: dict[Layer, Layer] = {}
    for layer in model.layers:
        origin = next((origins[item] for item in layer.inputs if item in origins), None)
        if layer.merges_masks:
            origin = layer
        if origin is None:
            continue
        if layer.kind in _MASKLESS or layer is origin:
            origins[layer] = origin
        else:
            yield (
                f"layer {origin}: its inputs have different masks, or only some have a mask; Keras 3, which"
                f" the definition uses, merges them into another mask for {layer} than Keras 2, which may"
                f" have trained the model; pass the mask to {layer.name!r} in the argument mask"
            )


def _clipped(layer: Layer) -> str:
    """The code to write; Bidirectional changes or refuses a function without a registered name."""
    if not layer.name.startswith(("forward_", "backward_")):
        return _CLIPPED
    return f"{_CLIPPED} as a function with keras.saving.register_keras_serializable()"


def _parts(kind: str, settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str, Any]]:
    """A layer's settings, and those of its inner layers."""
    yield before, kind, settings
    for key, value in settings.items():
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, dict) and isinstance(item.get("config"), dict):
                yield from _parts(str(item.get("class_name")), item["config"], f"{before}{key}.")


@functools.cache
def _keras_3(name: str) -> Function:
    return named_function(name, keras_2=False)
