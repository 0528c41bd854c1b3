"""Check the contract of definitions, as far as that needs no graph."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import is_dataclass
from numbers import Real
from types import NoneType, UnionType
from typing import Any, Literal, SupportsIndex, Union, get_args, get_origin, get_type_hints

from redraw.definition.parts import Distribution
from redraw.errors import InvalidDefinition, one_line
from redraw.records import Signature, TensorSpec

_DTYPES = (
    "bool",
    "string",
    "bfloat16",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
)


def check_contract(definition: Any, declared: Mapping[str, Any]) -> None:
    """Check a definition against the contract.

    Args:
        definition: The definition.
        declared: Attribute to type, for attributes without a check of their own.

    Raises:
        InvalidDefinition: It breaks the contract; the message names the attribute.
    """
    where = f"definition {type(definition).__module__}.{type(definition).__name__}"
    for name, hint in declared.items():
        _demand(f"{where}, {name}", getattr(definition, name, None), hint)
    if not getattr(definition, "signatures", None):
        raise InvalidDefinition(
            f"{where}: expected at least one signature, got none. Set the attribute signatures."
        )
    if not _fits(definition.signatures, Mapping[str, Signature]):
        raise InvalidDefinition(
            f"{where}, signatures: expected a dict from names to Signature, got"
            f" {definition.signatures!r:.80}. Correct the definition."
        )
    for name, signature in definition.signatures.items():
        _check_signature(f"{where}, signature {name!r}", signature)
    _check_numbers(where, definition)
    _check_changes(where, definition)
    _check_renames(where, definition.renames)
    _check_plan(where, definition)
    if definition.license and definition.licence and definition.license != definition.licence:
        raise InvalidDefinition(
            f"{where}, licence: expected the same value as license"
            f" ({one_line(repr(definition.license), 80)}), got {one_line(repr(definition.licence), 80)}."
            " Remove one of the two attributes."
        )


def _demand(where: str, value: Any, hint: Any) -> None:
    """Refuse a value, or a part of it, that does not have its annotated type."""
    if not _fits(value, hint):
        expected = getattr(hint, "__name__", str(hint)) if isinstance(hint, type) else str(hint)
        raise InvalidDefinition(
            f"{where}: expected {expected}, got {one_line(repr(value), 80)}. Correct the definition."
        )
    parts = value.items() if isinstance(value, Mapping) else [("", value)]
    for key, part in parts:
        if is_dataclass(part) and type(part) is not Signature:
            for name, inner in get_type_hints(type(part)).items():
                _demand(f"{where}{f' {key!r:.60}' if key else ''}, {name}", getattr(part, name), inner)


def _check_plan(where: str, definition: Any) -> None:
    plan = definition.training
    if min(plan.steps, plan.evaluate_every, plan.keep_checkpoints) < 1:
        raise InvalidDefinition(
            f"{where}: expected positive steps, evaluate_every and keep_checkpoints in the TrainingPlan,"
            f" got {plan}. Correct the plan."
        )
    if plan.distribution not in get_args(Distribution) or plan.mixed_precision not in (None, "bfloat16"):
        raise InvalidDefinition(
            f"{where}: expected distribution {' or '.join(get_args(Distribution))} and mixed_precision"
            f" bfloat16 or None in the TrainingPlan, got {plan}. Correct the plan."
        )
    if plan.average_decay is not None and not 0 <= plan.average_decay < 1:
        raise InvalidDefinition(
            f"{where}, training, average_decay: expected a number from 0 to less than 1, got"
            f" {plan.average_decay}. Correct the definition."
        )
    if definition.weights == "average" and plan.average_decay is None:
        raise InvalidDefinition(
            f"{where}: expected moving averages for weights = 'average', got a TrainingPlan without"
            " average_decay. Set average_decay, or set weights = 'raw'."
        )


def _check_changes(where: str, definition: Any) -> None:
    outputs = {name for signature in definition.signatures.values() for name in signature.outputs}
    for name, most in definition.max_changed.items():
        if name not in outputs or not 0 <= most <= 1:
            names = ", ".join(sorted(outputs))
            raise InvalidDefinition(
                f"{where}, max_changed: expected an output ({names}) and a fraction from 0 to 1, got"
                f" {name!r:.60} and {most}. Correct the definition."
            )


def _check_numbers(where: str, definition: Any) -> None:
    """Refuse a bound that is no number, because every answer would pass it."""
    numbers = {name: getattr(definition, name) for name in ("tolerance", "change_tolerance")}
    numbers |= {f"max_regression[{name!r}]": most for name, most in definition.max_regression.items()}
    for name, number in numbers.items():
        if not 0 <= number < math.inf:
            raise InvalidDefinition(
                f"{where}, {name}: expected a finite number of 0 or more, got {number}. Correct the"
                " definition."
            )


def _fits(value: Any, hint: Any) -> bool:
    """Whether an attribute has its annotated type; a list counts as a tuple, and 1 as 1.0."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, UnionType):
        return any(_fits(value, kind) for kind in inner)
    if origin is Literal:
        return isinstance(value, str | NoneType) and value in inner
    if origin is tuple:
        return isinstance(value, tuple | list) and all(_fits(item, inner[0]) for item in value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(
            _fits(item, kind) for pair in value.items() for item, kind in zip(pair, inner, strict=True)
        )
    if hint is float:
        return isinstance(value, Real) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, SupportsIndex) and not isinstance(value, bool)
    return isinstance(value, hint)


def _check_renames(where: str, renames: object) -> None:
    pairs = renames if isinstance(renames, tuple) else (renames,)
    for pair in pairs:
        fits = isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[1], str)
        if not fits or not isinstance(pair[0], str | re.Pattern):
            raise InvalidDefinition(
                f"{where}, renames: expected pairs (served name or compiled pattern, checkpoint's name),"
                f" got {pair!r:.80}. Write renames as a tuple of tuples."
            )


def _check_signature(where: str, signature: Signature) -> None:
    if not (isinstance(signature.inputs, Mapping) and isinstance(signature.outputs, Mapping)):
        raise InvalidDefinition(
            f"{where}: expected dicts from names to TensorSpec, got {signature!r:.120}. Correct the"
            " definition."
        )
    if not signature.inputs or not signature.outputs:
        raise InvalidDefinition(
            f"{where}: expected at least one input and one output, got {signature}. Add what is missing."
        )
    for kind, tensors in (("input", signature.inputs), ("output", signature.outputs)):
        for name, spec in tensors.items():
            if not isinstance(name, str) or not name or "\0" in name:
                raise InvalidDefinition(
                    f"{where}, {kind} {name!r}: expected a non-empty name, got ''. Give the tensor a name."
                )
            _check_spec(f"{where}, {kind} {name!r}", spec)


def _check_spec(where: str, spec: object) -> None:
    if not isinstance(spec, TensorSpec) or not isinstance(spec.shape, tuple | list):
        raise InvalidDefinition(
            f'{where}: expected redraw.TensorSpec("float32", (None, 10)), got {spec!r:.80}. Correct the'
            " definition."
        )
    if not isinstance(spec.dtype, str) or spec.dtype not in _DTYPES:
        raise InvalidDefinition(
            f"{where}: expected a dtype of {', '.join(_DTYPES)}, got {spec.dtype!r:.40}. Correct the"
            " definition."
        )
    if any(
        size is not None and (not isinstance(size, SupportsIndex) or int(size) < 0) for size in spec.shape
    ):
        raise InvalidDefinition(
            f"{where}: expected None or a number of 0 or more for each dimension, got {spec.shape!r:.80}."
            " Correct the definition."
        )
    if not spec.shape or spec.shape[0] is not None:
        raise InvalidDefinition(
            f"{where}: expected a batch dimension (None first), got {spec}. Put None first in the shape."
        )
