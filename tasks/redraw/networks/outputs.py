"""Hold what a drawn signature answers to what its definition promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from redraw.errors import InvalidDefinition
from redraw.records.signature import TensorSpec

if TYPE_CHECKING:
    import tensorflow as tf


def check_outputs(
    where: str,
    expected: Mapping[str, TensorSpec],
    answered: Mapping[str, tuple[tf.DType, tf.TensorShape]],
) -> None:
    """Compare what a signature answers with what the definition says of it.

    Args:
        where: What answers, for messages.
        expected: Output name to what the definition says.
        answered: Output name to dtype and shape.

    Raises:
        InvalidDefinition: It answers under another name, or with another dtype or shape.
    """
    if set(answered) != set(expected):
        raise InvalidDefinition(
            f"{where}: expected outputs {sorted(expected)}, got {sorted(answered)}."
            " Answer what the signature names."
        )
    for name, spec in expected.items():
        dtype, shape = answered[name]
        if dtype.name != spec.dtype or not shape.is_compatible_with(spec.shape):
            raise InvalidDefinition(
                f"{where}, output {name!r}: expected {spec}, got {dtype.name} {shape}."
                " Change the signature or the answer."
            )
