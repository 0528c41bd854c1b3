"""Compare the settings of layers that change an answer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras

from redraw.networks.layers.functions import same_function
from redraw.networks.layers.layer import Function, Layer

# Settings of how a layer is named, made, trained or run, which do not change its output.
_IGNORED = {
    "name",
    "trainable",
    "autocast",
    "batch_input_shape",
    "batch_shape",
    "input_shape",
    "seed",
    "build_config",
    "supports_masking",
    "registered_name",
    "module",
    "input_spec",
}
# Further such settings of Keras' own layers; in others these names may mean anything.
_IGNORED_OF_KERAS = {
    "sparse",
    "ragged",
    "optional",
    "dropout",
    "recurrent_dropout",
    "rate",
    "noise_shape",
    "momentum",
    "renorm",
    "renorm_clipping",
    "renorm_momentum",
    "virtual_batch_size",
    "fused",
    "implementation",
    "unroll",
    "use_cudnn",
    "unit_forget_bias",
    "synchronized",
    "input_length",
    "input_dtype",
    "flash_attention",
    "lora_alpha",
    "quantization_config",
    "data_type",
    "gpu_compatible",
    "stateful",
    "vocabulary",
    "vocabulary_size",
    "idf_weights",
    "vocabulary_dtype",
}
_IGNORED_ENDS = ("_initializer", "_regularizer", "_constraint")
# Keys of Keras 2 to their names in Keras 3.
_RENAMED = {"alpha": {"LeakyReLU": "negative_slope"}, "max_tokens": {"CategoryEncoding": "num_tokens"}}
# Settings that a layer does not use because of another setting.
_UNUSED = {"Discretization": ("num_bins", "epsilon")}
# Settings that are added to a layer later and are missing before.
_ADDED = {"lora_rank"}
# The former defaults of keys that are missing in older files.
_FORMER_DEFAULTS = {"GRU": {"reset_after": False}, "GRUCell": {"reset_after": False}}
_SPLIT = {
    "Dense",
    "EinsumDense",
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "Conv1DTranspose",
    "Conv2DTranspose",
    "Conv3DTranspose",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "SeparableConv1D",
    "SeparableConv2D",
}
_NEAR = 1e-5
# Dtypes of unusual precision, and the layers whose output also depends on other dtypes.
_PRECISIONS = {"float16", "bfloat16", "float64"}
_CASTING = {"Rescaling", "Resizing", "Normalization", "CenterCrop"}


def split_activation(layer: Layer) -> Layer:
    """Split a layer's activation into a layer of its own, because models are written in both ways."""
    function = layer.settings.get("activation")
    if layer.kind not in _SPLIT or not isinstance(function, Function):
        return layer
    bare = {key: value for key, value in layer.settings.items() if key != "activation"}
    inner = replace(layer, settings=bare)
    if function.name == "linear":
        return inner
    settings = {"activation": function}
    return Layer(name=layer.name, kind="Activation", settings=settings, inputs=(inner,), rank=layer.rank)


def differing_settings(
    kind: str, file_settings: Mapping[str, Any], defined_settings: Mapping[str, Any], rank: int | None = None
) -> Iterator[tuple[str, Any, Any]]:
    """Find settings that differ and change an answer.

    Args:
        kind: The class of both layers.
        file_settings: The settings in the file.
        defined_settings: The settings in the definition.
        rank: The rank of the layer's input, for negative axes.

    Yields:
        Key, the file's value, the definition's value.
    """
    file_values, defined_values = _relevant(kind, file_settings), _relevant(kind, defined_settings)
    unused = _UNUSED.get(kind, ()) if defined_values.get("bin_boundaries") else ()
    if not defined_values.get("pad_to_max_tokens", False) and "pad_to_max_tokens" in defined_values:
        unused = (*unused, "max_tokens")
    for key in _ADDED & (file_values.keys() ^ defined_values.keys()):
        file_values.setdefault(key, None)
        defined_values.setdefault(key, None)
    for key in sorted(file_values.keys() & defined_values.keys()):
        # A definition without constants has variables, whose values the export takes from the file.
        if key in unused or (key in ("mean", "variance") and defined_values[key] is None):
            continue
        inner = rank - 1 if rank and kind == "TimeDistributed" else rank
        if key == "dtype":
            yield from _dtype_differences(kind, file_values[key], defined_values[key])
        else:
            yield from _differences(key, file_values[key], defined_values[key], inner)
    for key, value in _FORMER_DEFAULTS.get(kind, {}).items():
        if key in defined_values and key not in file_values and defined_values[key] != value:
            yield key, value, defined_values[key]


def _dtype_differences(kind: str, *policies: Any) -> Iterator[tuple[str, Any, Any]]:
    """The difference of two layers' compute dtypes, if it changes an answer."""
    saved, built = (
        str(policy["config"].get("name") if _is_object(policy) else policy).removeprefix("mixed_")
        for policy in policies
    )
    if saved != built and (kind in _CASTING or {saved, built} & _PRECISIONS):
        yield "dtype", saved, built


def _relevant(kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    ignored = _IGNORED | _IGNORED_OF_KERAS if hasattr(keras.layers, kind) else _IGNORED
    return {
        _RENAMED.get(key, {}).get(kind, key): value
        for key, value in settings.items()
        if key not in ignored and not key.endswith(_IGNORED_ENDS)
    }


def _differences(key: str, saved: Any, built: Any, rank: int | None) -> Iterator[tuple[str, Any, Any]]:
    if _is_object(saved) and _is_object(built):
        if saved["class_name"] != built["class_name"]:
            yield key, saved["class_name"], built["class_name"]
            return
        for inner, a, b in differing_settings(saved["class_name"], saved["config"], built["config"], rank):
            yield f"{key}.{inner}", a, b
    elif _are_objects(saved) and _are_objects(built) and len(saved) == len(built):
        for number, pair in enumerate(zip(saved, built, strict=True)):
            yield from _differences(f"{key}.{number}", *pair, rank)
    elif not _equal(key, saved, built, rank):
        yield key, _name_of_function(saved), _name_of_function(built)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and "class_name" in value and isinstance(value.get("config"), dict)


def _are_objects(value: Any) -> bool:
    return _is_list(value) and bool(value) and all(map(_is_object, value))


def _equal(key: str, saved: Any, built: Any, rank: int | None) -> bool:
    if isinstance(saved, Function) and isinstance(built, Function):
        return same_function(built, saved)
    if key == "data_format":
        return (saved or "channels_last") == (built or "channels_last")
    if key == "axis":
        return same_axes(saved, built, rank)
    if _is_list(saved) or _is_list(built):
        return _same_lists(saved, built)
    if _is_number(saved) and _is_number(built):
        return math.isclose(saved, built, rel_tol=_NEAR, abs_tol=1e-12)
    return bool(saved == built)


def _same_lists(saved: Any, built: Any) -> bool:
    first, second = _flat(saved), _flat(built)
    if len(first) == 1 or len(second) == 1:  # one number for each dimension
        longest = max(len(first), len(second))
        first, second = (
            first * longest if len(first) == 1 else first,
            second * longest if len(second) == 1 else second,
        )
    return len(first) == len(second) and all(
        _equal("", a, b, None) for a, b in zip(first, second, strict=True)
    )


def same_axes(saved: Any, built: Any, rank: int | None) -> bool:
    """Whether two axes, or lists of some, are the same.

    Args:
        saved: The axes in the file.
        built: The axes in the definition.
        rank: The number of dimensions, for negative axes; None if it is unknown.

    Returns:
        Whether they are the same, or cannot be compared.
    """
    first, second = _list(saved), _list(built)

    def counted(axes: Sequence[int]) -> list[int]:
        return sorted(axis % rank if rank else axis for axis in axes)

    if rank is None and any(a != b and min(a, b) < 0 for a, b in zip(first, second, strict=False)):
        return True  # one counts from the end, which is unknown
    return counted(first) == counted(second)


def _list(value: Any) -> list[Any]:
    return [item for item in _flat(value) if isinstance(item, int)]


def _flat(value: Any) -> list[Any]:
    if not _is_list(value):
        return [value]
    return [inner for item in value for inner in _flat(item)]


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _name_of_function(value: Any) -> Any:
    return value.name if isinstance(value, Function) else value
