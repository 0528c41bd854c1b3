"""A description of a layer of a Keras model: a plain value, not a layer that runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# Layers that do nothing at inference.
PASSING = frozenset(
    {
        "Dropout",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "SpatialDropout3D",
        "AlphaDropout",
        "GaussianDropout",
        "GaussianNoise",
        "ActivityRegularization",
        "Identity",
        "RandomFlip",
        "RandomRotation",
        "RandomZoom",
        "RandomTranslation",
        "RandomContrast",
        "RandomBrightness",
        "RandomSharpness",
        "RandomHue",
        "RandomShear",
        "RandomSaturation",
        "RandomColorJitter",
        "RandomGrayscale",
        "RandomPerspective",
        "RandomInvert",
        "RandomErasing",
        "RandomGaussianBlur",
        "RandomPosterization",
        "RandomColorDegeneration",
    }
)
_KINDS = {
    "Functional": "Model",
    "Sequential": "Model",
    "SyncBatchNormalization": "BatchNormalization",
    "GroupQueryAttention": "GroupedQueryAttention",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
}


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function of a layer, such as its activation.

    Attributes:
        name: Its name.
        values: Its values at `functions.GRID`; empty if it cannot be called.
        call: The function itself, if it can be called.
        default: Whether it is Keras' own sigmoid, the default of gates.
    """

    name: str
    values: tuple[float, ...] = ()
    call: Callable[[Any], Any] | None = field(default=None, compare=False, repr=False)
    default: bool = False


@dataclass(eq=False, kw_only=True)
class Layer:
    """One call of a layer.

    Attributes:
        name: The layer's name.
        kind: Its class, under one name if Keras has several for it.
        settings: Its settings from JSON, with functions as `Function`.
        inputs: The layers whose outputs it is called with.
        called_with: The keywords of its call that change what it does; None if calls are not known.
        rank: The number of dimensions of its first input; None if it is unknown.
        merges_masks: Whether its inputs have different masks, or only some have one.
    """

    name: str
    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: Sequence[Layer] = ()
    called_with: Mapping[str, Any] | None = None
    rank: int | None = None
    merges_masks: bool = False

    def __str__(self) -> str:
        return f"{self.name!r} ({self.kind})"


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model's layers.

    Attributes:
        layers: Every layer, including those of inner models, in the order of their calls.
        outputs: The layers that return its outputs; empty if the calls are not known.
        inputs: Its inputs, in their order; empty if the calls are not known.
        listed: Whether its outputs are a list, which has no names.
        own: The model itself with its settings, if it is a custom class.
        every: The layers at any depth, including those inside of layers, without their calls.
    """

    layers: tuple[Layer, ...]
    outputs: tuple[Layer, ...] = ()
    inputs: tuple[Layer, ...] = ()
    listed: bool = False
    own: Layer | None = None
    every: tuple[Layer, ...] = ()


def nth_output(layer: Layer, number: int) -> Layer:
    """A layer that stands for one of the outputs of a layer; itself for the first one."""
    if not number:
        return layer
    return Layer(name=layer.name, kind=f"output {number}", inputs=(layer,))


def canonical_kind(name: str) -> str:
    """The name that is used here for a class."""
    name = name.rpartition(">")[2]  # after the package that it was registered under
    return _KINDS.get(name, name)
