"""A layer of a Keras model as far as it says how answers are computed: a value, not a layer that runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Function", "Layer", "Model", "PASSING", "canonical_kind"]

# What does nothing while nobody trains.
PASSING = frozenset({
    *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout"),
    *("GaussianDropout", "GaussianNoise", "ActivityRegularization", "Identity", "RandomFlip"),
    *("RandomRotation", "RandomZoom", "RandomTranslation", "RandomContrast", "RandomBrightness"),
    *("RandomSharpness", "RandomHue", "RandomShear", "RandomSaturation", "RandomColorJitter"),
    *("RandomGrayscale", "RandomPerspective", "RandomInvert", "RandomErasing", "RandomGaussianBlur"),
    *("RandomPosterization", "RandomColorDegeneration"),
})  # fmt: skip
_KINDS = {
    "Functional": "Model",
    "Sequential": "Model",
    "SyncBatchNormalization": "BatchNormalization",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
}


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function of a layer, such as its activation.

    Attributes:
        name: What it is called.
        values: Its answers to the numbers of `functions.GRID`; empty where it cannot be asked.
        default: Whether it is Keras' own sigmoid, which gates have that are given no function.
    """

    name: str
    values: tuple[float, ...] = ()
    default: bool = False


@dataclass(eq=False, kw_only=True)
class Layer:
    """One call of a layer.

    Attributes:
        name: The layer's.
        kind: Its class, without the names that Keras has given the same class.
        settings: What it was made with, as JSON has it, functions as `Function`.
        inputs: What it is called with.
        merges_masks: Whether some of its inputs have a mask and others another one, or none.
    """

    name: str
    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: Sequence[Layer] = ()
    merges_masks: bool = False

    def __str__(self) -> str:
        return f"{self.name!r} ({self.kind})"


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model's layers.

    Attributes:
        layers: Every layer, those of models in it included, in the order of their calls.
        outputs: What its outputs are made by; none where the calls are not known.
        every: The layers at any depth, those that layers hold included, without their calls.
    """

    layers: tuple[Layer, ...]
    outputs: tuple[Layer, ...] = ()
    every: tuple[Layer, ...] = ()


def canonical_kind(name: str) -> str:
    """A class by the one name that is used here."""
    return _KINDS.get(name, name)
