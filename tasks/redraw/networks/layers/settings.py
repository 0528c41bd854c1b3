"""What layers were made with: which of it changes an answer, and whether two say the same."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras

from redraw.networks.layers.functions import same_function
from redraw.networks.layers.layer import Function, Layer

# What says how a layer is called, made, trained or run, and not what it answers.
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
# The same of Keras' own layers; in others such a name may mean anything.
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
# Keys of Keras 2 that Keras 3 calls otherwise.
_RENAMED = {"alpha": {"LeakyReLU": "negative_slope"}, "max_tokens": {"CategoryEncoding": "num_tokens"}}
# What a layer of another setting leaves unused.
_UNUSED = {"Discretization": ("num_bins", "epsilon")}
# What a layer has been given after it was made, and says nothing of before.
_ADDED = {"lora_rank"}
# What a missing key stands for, where neither the other file nor Keras' own signature says so.
_BEFORE = {"GRU": {"reset_after": False}, "GRUCell": {"reset_after": False}}
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
# What is computed with fewer or more digits than usual, and the layers that also differ by other dtypes.
_PRECISIONS = {"float16", "bfloat16", "float64"}
_CASTING = {"Rescaling", "Resizing", "Normalization", "CenterCrop"}


def split_activation(layer: Layer) -> Layer:
    """Put the activation that a layer ends with into a layer of its own, as it may also be written."""
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
    kind: str, described: Mapping[str, Any], drawn: Mapping[str, Any], rank: int | None = None
) -> Iterator[tuple[str, Any, Any]]:
    """What changes an answer and differs.

    Args:
        kind: The class of both.
        described: What the file says.
        drawn: What the definition draws.
        rank: The rank of what the layer is called with, to which axes count back.

    Yields:
        Key, the file's value, the definition's value.
    """
    theirs, ours = _named(kind, described), _named(kind, drawn)
    unused = _UNUSED.get(kind, ()) if ours.get("bin_boundaries") else ()
    if not ours.get("pad_to_max_tokens", False) and "pad_to_max_tokens" in ours:
        unused = (*unused, "max_tokens")
    for key in _ADDED & (theirs.keys() ^ ours.keys()):
        theirs.setdefault(key, None)
        ours.setdefault(key, None)
    for key in sorted(theirs.keys() & ours.keys()):
        # A definition without constants has variables, which the export finds in the file.
        if key in unused or (key in ("mean", "variance") and ours[key] is None):
            continue
        inner = rank - 1 if rank and kind == "TimeDistributed" else rank
        if key == "dtype":
            yield from _computed_otherwise(kind, theirs[key], ours[key])
        else:
            yield from _differences(key, theirs[key], ours[key], inner)
    for key, value in _BEFORE.get(kind, {}).items():
        if key in ours and key not in theirs and ours[key] != value:
            yield key, value, ours[key]


def _computed_otherwise(kind: str, *policies: Any) -> Iterator[tuple[str, Any, Any]]:
    """What two layers compute in, by what Keras has of their dtypes."""
    theirs, ours = (
        str(policy["config"].get("name") if _is_object(policy) else policy).removeprefix("mixed_")
        for policy in policies
    )
    if theirs != ours and (kind in _CASTING or {theirs, ours} & _PRECISIONS):
        yield "dtype", theirs, ours


def _named(kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    ignored = _IGNORED | _IGNORED_OF_KERAS if hasattr(keras.layers, kind) else _IGNORED
    return {
        _RENAMED.get(key, {}).get(kind, key): value
        for key, value in settings.items()
        if key not in ignored and not key.endswith(_IGNORED_ENDS)
    }


def _differences(key: str, theirs: Any, ours: Any, rank: int | None) -> Iterator[tuple[str, Any, Any]]:
    if _is_object(theirs) and _is_object(ours):
        if theirs["class_name"] != ours["class_name"]:
            yield key, theirs["class_name"], ours["class_name"]
            return
        for inner, a, b in differing_settings(theirs["class_name"], theirs["config"], ours["config"], rank):
            yield f"{key}.{inner}", a, b
    elif _are_objects(theirs) and _are_objects(ours) and len(theirs) == len(ours):
        for number, pair in enumerate(zip(theirs, ours, strict=True)):
            yield from _differences(f"{key}.{number}", *pair, rank)
    elif not _equal(key, theirs, ours, rank):
        yield key, _shown(theirs), _shown(ours)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and "class_name" in value and isinstance(value.get("config"), dict)


def _are_objects(value: Any) -> bool:
    return _is_list(value) and bool(value) and all(map(_is_object, value))


def _equal(key: str, theirs: Any, ours: Any, rank: int | None) -> bool:
    if isinstance(theirs, Function) and isinstance(ours, Function):
        return same_function(ours, theirs)
    if key == "data_format":
        return (theirs or "channels_last") == (ours or "channels_last")
    if key == "axis":
        return same_axes(theirs, ours, rank)
    if _is_list(theirs) or _is_list(ours):
        return _same_lists(theirs, ours)
    if _is_number(theirs) and _is_number(ours):
        return math.isclose(theirs, ours, rel_tol=_NEAR, abs_tol=1e-12)
    return bool(theirs == ours)


def _same_lists(theirs: Any, ours: Any) -> bool:
    first, second = _flat(theirs), _flat(ours)
    if len(first) == 1 or len(second) == 1:  # one number for each dimension
        longest = max(len(first), len(second))
        first, second = (
            first * longest if len(first) == 1 else first,
            second * longest if len(second) == 1 else second,
        )
    return len(first) == len(second) and all(
        _equal("", a, b, None) for a, b in zip(first, second, strict=True)
    )


def same_axes(theirs: Any, ours: Any, rank: int | None) -> bool:
    """Whether two axes, or lists of some, are the same.

    Args:
        theirs: The file's.
        ours: The definition's.
        rank: How many dimensions they count back from; None where nobody knows.

    Returns:
        Whether they are; also where nobody can know.
    """
    first, second = _list(theirs), _list(ours)

    def counted(axes: Sequence[int]) -> list[int]:
        return sorted(axis % rank if rank else axis for axis in axes)

    if rank is None and any(a != b and min(a, b) < 0 for a, b in zip(first, second, strict=False)):
        return True  # one counts from the end, and where that is nobody knows
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


def _shown(value: Any) -> Any:
    return value.name if isinstance(value, Function) else value
