"""Serve a SavedModel's signatures: they name its inputs and outputs, so nothing needs to be chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from redraw.draft.choosing import Choice
from redraw.errors import InvalidDefinition, short_list
from redraw.recorded.reading import Recording
from redraw.recorded.redrawing import Selection, redraw_recording
from redraw.recorded.roles import Roles
from redraw.recorded.shapes import Shape

_INITIALIZER = "__saved_model_init_op"


def choose_signatures(
    recording: Recording, constants: Mapping[str, Any], stateful_ops: tuple[str, ...] = ()
) -> Choice:
    """Serve every signature of a SavedModel.

    Args:
        recording: A SavedModel's graph.
        constants: Tensor to the constant that replaces it.
        stateful_ops: Types of random operations that are not removed.

    Returns:
        The choice. If signatures use one name for different tensors, the choice calls each `signature/name`.

    Raises:
        InvalidDefinition: It has no signatures, one that no request can match, or it cannot be served.
    """
    signatures = _signatures(recording)
    if not signatures:
        raise InvalidDefinition(
            f"{recording.uri}: expected a SavedModel with signatures, got none. Name inputs and outputs:"
            " redraw draft --input TENSOR --output TENSOR."
        )
    inputs = {name: dict(sorted(signature.inputs.items())) for name, signature in signatures.items()}
    outputs = {name: dict(sorted(signature.outputs.items())) for name, signature in signatures.items()}
    where = str(recording.uri)
    asked_inputs, input_keys = _keyed(where, "input", inputs)
    asked_outputs, output_keys = _keyed(where, "output", outputs)
    asked = Selection(
        inputs=asked_inputs,
        outputs={key: tensor for key, (tensor, _) in asked_outputs.items()},
        constants=constants,
        random_ops=stateful_ops,
    )
    redrawn = redraw_recording(recording, asked)
    empty = sorted(variable.node for variable in redrawn.variables if not variable.saved)
    if empty:
        raise InvalidDefinition(
            f"{recording.uri}: expected that the SavedModel saves every variable that signatures read, but"
            f" it lacks {short_list(empty, 'variables')}. Make the objects that hold these variables"
            " attributes of the saved object, and save the model again."
        )
    return Choice(
        asked=asked,
        redrawn=redrawn,
        roles=Roles(sources=(), outputs=()),
        notes=(),
        signatures={name: (input_keys[name], output_keys[name]) for name in signatures},
    )


def has_signatures(recording: Recording) -> bool:
    """Whether a SavedModel has signatures."""
    return bool(_signatures(recording))


def _signatures(recording: Recording) -> dict[str, Any]:
    signatures = sorted(recording.meta_graph.signature_def.items())
    return {name: sig for name, sig in signatures if name != _INITIALIZER and sig.outputs}


def _keyed(
    where: str, side: str, signatures: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, tuple[str, Shape]], dict[str, dict[str, str]]]:
    """The tensors by their names in the definition, and each signature's names to these names."""
    tensors: dict[str, set[str]] = {}
    for infos in signatures.values():
        for name, info in infos.items():
            tensors.setdefault(name, set()).add(info.name)
    asked: dict[str, tuple[str, Shape]] = {}
    keys: dict[str, dict[str, str]] = {}
    for signature, infos in signatures.items():
        keys[signature] = {n: n if len(tensors[n]) == 1 else f"{signature}/{n}" for n in infos}
        for name, info in infos.items():
            described = f"{where}: signature {signature!r}, {side} {name!r}"
            asked[keys[signature][name]] = info.name, _shape(described, info, side)
    return asked, keys


def _shape(described: str, info: Any, side: str) -> Shape:
    if info.WhichOneof("encoding") != "name":
        raise InvalidDefinition(
            f"{described}: expected one tensor, got a {info.WhichOneof('encoding') or 'nothing'}."
            " Write the model as a definition."
        )
    if info.tensor_shape.unknown_rank:
        if side == "output":
            return None
        raise InvalidDefinition(
            f"{described}: expected a shape with the batch first, got none. Set the shape: redraw draft"
            f" --input 'NAME={info.name}[?,10]' --output …"
        )
    sizes = list(_sizes(info))
    if not sizes and side == "input":
        raise InvalidDefinition(
            f"{described}: expected one row for each request row, got one value. Set the value: redraw"
            f" draft --set {info.name}=VALUE --input … --output …"
        )
    return (None, *sizes[1:])


def _sizes(info: Any) -> Iterator[int | None]:
    return (None if dim.size < 0 else int(dim.size) for dim in info.tensor_shape.dim)
