"""Check the outputs of a drawn signature against its definition."""

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
    actual: Mapping[str, tuple[tf.DType, tf.TensorShape]],
) -> None:
    """Compare a signature's outputs with its definition.

    Args:
        where: The signature's name in messages.
        expected: Output name to the declared dtype and shape.
        actual: Output name to the actual dtype and shape.

    Raises:
        InvalidDefinition: An output has another name, dtype or shape.
    """
    if set(actual) != set(expected):
        raise InvalidDefinition(
            f"{where}: expected outputs {sorted(expected)}, got {sorted(actual)}. Return a dict with"
            " exactly the outputs of the signature."
        )
    for name, spec in expected.items():
        dtype, shape = actual[name]
        if dtype.name != spec.dtype or not shape.is_compatible_with(spec.shape):
            raise InvalidDefinition(
                f"{where}, output {name!r}: expected {spec}, got {dtype.name} {shape}. Correct the"
                " signature, or what serve returns."
            )
