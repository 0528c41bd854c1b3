"""The text of a drafted definition, with the choices and their evidence as comments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from redraw.draft.choosing import Choice
from redraw.errors import InvalidDefinition
from redraw.recorded.batch import TRIED
from redraw.recorded.graph import full_name
from redraw.recorded.reading import Recording
from redraw.recorded.shapes import infer_shapes
from redraw.records import Signature, TensorSpec

_SHOWN = 6
_WIDTH = 104


def module_text(model: str, place: str, recording: Recording, choice: Choice) -> str:
    """Write a definition's module.

    Args:
        model: The model's name.
        place: Where the definition reads the recording from.
        recording: The recording.
        choice: What the definition serves.

    Returns:
        Python code.
    """
    asked, redrawn = choice.asked, choice.redrawn
    graph = redrawn.graph
    _demand_rows(recording, choice)
    signatures = signatures_of(recording, choice)
    served = graph.reach(redrawn.outputs.values())
    lines = [
        f'"""{model}, as {recording.made_by} recorded it."""',
        "",
        "from redraw import RecordedDefinition, Signature, TensorSpec",
        "",
        "",
        f"class {''.join(part.title() for part in model.split('_'))}(RecordedDefinition):",
        f'    """{redrawn.recorded} operations recorded, {len(served)} served."""',
        "",
        *(f"    # {line}"[:_WIDTH] for line in _comments(choice)),
        f"    recording = {str(place)!r}",
        f"    digest = {recording.digest!r}",
        *_mapping("inputs", {name: tensor for name, (tensor, _) in asked.inputs.items()}),
        *_mapping("outputs", dict(asked.outputs)),
        *(_mapping("constants", dict(asked.constants)) if asked.constants else ()),
        "    signatures = {",
        *(line for name, signature in signatures.items() for line in signature_lines(name, signature)),
        "    }",
    ]
    return "\n".join(lines) + "\n"


def signatures_of(recording: Recording, choice: Choice) -> dict[str, Signature]:
    """The signatures, with the dtypes and shapes of their tensors.

    Raises:
        InvalidDefinition: An output does not have one row for each row of the request.
    """
    redrawn, asked = choice.redrawn, choice.asked
    graph = redrawn.graph
    shapes = {redrawn.inputs[name]: shape for name, (_, shape) in asked.inputs.items()}
    inferred = infer_shapes(graph, list(redrawn.outputs.values()), shapes)
    inputs = {name: _spec(graph, redrawn.inputs[name], shape) for name, (_, shape) in asked.inputs.items()}
    outputs = {}
    for name, tensor in redrawn.outputs.items():
        shape = inferred.get(graph.resolve(full_name(tensor)))
        if not shape:
            raise InvalidDefinition(
                f"{recording.uri}: output {name!r}: expected one row for each request row, got shape"
                f" {shape}. Choose another output."
            )
        outputs[name] = _spec(graph, graph.resolve(full_name(tensor)), (None, *shape[1:]))
    every = {"serving_default": ({name: name for name in inputs}, {name: name for name in outputs})}
    return {
        signature: Signature(
            inputs={name: inputs[key] for name, key in asks.items()},
            outputs={name: outputs[key] for name, key in answers.items()},
        )
        for signature, (asks, answers) in (choice.signatures or every).items()
    }


def _demand_rows(recording: Recording, choice: Choice) -> None:
    """Demand outputs with one row for each row of a request, which does not depend on the batch size."""
    redrawn = choice.redrawn
    for name, tensor in redrawn.outputs.items():
        shape, other = redrawn.grown.get(redrawn.graph.resolve(full_name(tensor)), (None, None))
        if shape and other and (shape[0] not in (None, TRIED[0]) or shape[1:] != other[1:]):
            raise InvalidDefinition(
                f"{recording.uri}: output {name!r}: expected one row for each request row, got shape"
                f" {list(shape)} for {TRIED[0]} rows and {list(other)} for {TRIED[1]}. Choose another"
                " output with --output TENSOR."
            )


def _spec(graph: Any, tensor: str, shape: Any) -> TensorSpec:
    return TensorSpec(dtype=tf.as_dtype(graph.dtype(tensor)).base_dtype.name, shape=tuple(shape))


def signature_lines(name: str, signature: Signature) -> list[str]:
    """A signature's lines in a definition's module."""
    return [
        f"        {name!r}: Signature(",
        *_specs("inputs", signature.inputs),
        *_specs("outputs", signature.outputs),
        "        ),",
    ]


def _format(spec: TensorSpec) -> str:
    sizes = ", ".join(str(size) for size in spec.shape) + ("," if len(spec.shape) == 1 else "")
    return f'TensorSpec("{spec.dtype}", ({sizes}))'


def _mapping(name: str, values: Mapping[str, Any]) -> list[str]:
    inner = [f"        {key!r}: {value!r}," for key, value in values.items()]
    return [f"    {name} = {{", *inner, "    }"]


def _specs(name: str, specs: Mapping[str, TensorSpec]) -> list[str]:
    inner = [f"                {key!r}: {_format(spec)}," for key, spec in specs.items()]
    return [f"            {name}={{", *inner, "            },"]


def _comments(choice: Choice) -> list[str]:
    roles = [f"{source.tensor}: {source.role}, {source.evidence}" for source in choice.roles.sources]
    replaced = [
        f"{part.kind} {part.tensor}: {part.by}, for {part.evidence}" for part in choice.redrawn.replaced
    ]
    return [*_cut(roles), *choice.notes, *_cut(replaced)]


def _cut(lines: list[str]) -> list[str]:
    more = len(lines) - _SHOWN
    return lines[:_SHOWN] + ([f"and {more} more"] if more > 0 else [])
