"""A layer of a Keras model as far as it says how answers are computed: a value, not a layer that runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# What does nothing while nobody trains.
PASSING = frozenset({
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout",
    "GaussianDropout", "GaussianNoise", "ActivityRegularization", "Identity", "RandomFlip",
    "RandomRotation", "RandomZoom", "RandomTranslation", "RandomContrast", "RandomBrightness",
    "RandomSharpness", "RandomHue", "RandomShear", "RandomSaturation", "RandomColorJitter",
    "RandomGrayscale", "RandomPerspective", "RandomInvert", "RandomErasing", "RandomGaussianBlur",
    "RandomPosterization", "RandomColorDegeneration",
})  # fmt: skip
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
        name: What it is called.
        values: Its answers to the numbers of `functions.GRID`; empty where it cannot be asked.
        call: The function itself, where it can be asked.
        default: Whether it is Keras' own sigmoid, which gates have that are given no function.
    """

    name: str
    values: tuple[float, ...] = ()
    call: Callable[[Any], Any] | None = field(default=None, compare=False, repr=False)
    default: bool = False


@dataclass(eq=False, kw_only=True)
class Layer:
    """One call of a layer.

    Attributes:
        name: The layer's.
        kind: Its class, without the names that Keras has given the same class.
        settings: What it was made with, as JSON has it, functions as `Function`.
        inputs: What it is called with.
        called_with: The keywords of its call that change what it does; None where calls are not known.
        rank: How many dimensions its first input has; None where nobody knows.
        merges_masks: Whether some of its inputs have a mask and others another one, or none.
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
        layers: Every layer, those of models in it included, in the order of their calls.
        outputs: What its outputs are made by; none where the calls are not known.
        inputs: Its inputs, in their order; none where the calls are not known.
        listed: Whether its outputs are a list, which is asked by numbers.
        own: The model itself, of a class with a call of its own: what it was made with.
        every: The layers at any depth, those that layers hold included, without their calls.
    """

    layers: tuple[Layer, ...]
    outputs: tuple[Layer, ...] = ()
    inputs: tuple[Layer, ...] = ()
    listed: bool = False
    own: Layer | None = None
    every: tuple[Layer, ...] = ()


def nth_output(layer: Layer, number: int) -> Layer:
    """What stands for one of the outputs of a layer: itself for the first one."""
    if not number:
        return layer
    return Layer(name=layer.name, kind=f"output {number}", inputs=(layer,))


def canonical_kind(name: str) -> str:
    """A class by the one name that is used here."""
    name = name.rpartition(">")[2]  # behind the package that its author registered it under
    return _KINDS.get(name, name)
