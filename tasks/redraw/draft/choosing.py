"""Choose the inputs and outputs of a recorded graph; if several choices are possible, list them and stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redraw.errors import InvalidDefinition
from redraw.recorded.branches import with_pivots
from redraw.recorded.graph import Graph, full_name
from redraw.recorded.nodes import node_name
from redraw.recorded.reading import Recording
from redraw.recorded.redrawing import Redrawn, Selection, open_graph, recorded_shape, redraw_recording
from redraw.recorded.roles import Roles, find_roles
from redraw.recorded.shapes import Shape

_LISTED = 12
_TRAINING = ("dropout", "alpha dropout", "Gaussian noise", "Gaussian dropout", "batch statistic")


class Undecided(Exception):
    """Several choices are equally good, or there is none; the message lists them.

    Args:
        message: The message if no person at a terminal can choose.
        kind: What must be chosen: `output`, `input`, `shape` or `set`.
        candidates: The choices, each with its evidence, the likeliest first; none if any value is possible.
        about: The tensor that a shape or a value is for.
    """

    def __init__(
        self, message: str, kind: str, candidates: Sequence[tuple[str, str]], about: str = ""
    ) -> None:
        super().__init__(message)
        self.kind, self.candidates, self.about = kind, tuple(candidates), about


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a drafted definition serves.

    Attributes:
        asked: Inputs, outputs and constants.
        redrawn: The graph, redrawn for these.
        roles: The roles of the graph's sources.
        notes: Why flags have their values.
        signatures: Signature to the names in `asked` of its inputs and its outputs; empty for a single
            signature with all of them.
    """

    asked: Selection
    redrawn: Redrawn
    roles: Roles
    notes: tuple[str, ...]
    signatures: Mapping[str, tuple[Mapping[str, str], Mapping[str, str]]] = field(default_factory=dict)


def choose(
    recording: Recording,
    inputs: Mapping[str, tuple[str, Shape]],
    outputs: Mapping[str, str],
    constants: Mapping[str, Any],
) -> Choice:
    """Choose inputs, outputs and flags of a recording.

    Args:
        recording: The recording.
        inputs: Input name to tensor and shape (None for the recorded shape), empty to choose them.
        outputs: Output name to tensor, empty to choose them.
        constants: Tensor to value, for the flags that need not be chosen.

    Raises:
        Undecided: Several choices are equally good, or there is none.
        InvalidDefinition: The graph cannot be served with these.
    """
    graph = open_graph(recording)
    tensors = [graph.demand_tensor(tensor, "output") for tensor in outputs.values()]
    roles = find_roles(graph, tensors)
    outputs = outputs or _choose_outputs(graph, roles)
    if not inputs:
        inputs = _choose_inputs(graph, find_roles(graph, [full_name(t) for t in outputs.values()]))
    shaped = {
        name: (tensor, shape or _batch_shape(graph, name, inputs)) for name, (tensor, shape) in inputs.items()
    }
    asked = Selection(inputs=shaped, outputs=outputs, constants=constants)
    return _with_flags(recording, asked, roles)


def _choose_outputs(graph: Graph, roles: Roles) -> dict[str, str]:
    heads = [output for output in roles.outputs if output.rank == 1]
    named = [output for output in roles.outputs if output.rank > 1]
    logits = [output for output in heads if "loss" in output.evidence]
    kinds = [graph.nodes[node_name(output.tensor)].op for output in named]
    unsure = not named and len(heads) != 1
    if unsure or len(logits) > 1 or len(set(kinds)) < len(kinds):
        ranked = sorted(roles.outputs, key=lambda output: -output.rank)
        candidates = [(output.tensor, output.evidence) for output in ranked]
        _stop(graph, "one output, or one group of outputs", "output", candidates)
    return {_label(output.tensor): output.tensor for output in named or heads}


def _choose_inputs(graph: Graph, roles: Roles) -> dict[str, tuple[str, Shape]]:
    data = [source.tensor for source in roles.of("data")]
    if not data:
        candidates = [(source.tensor, f"{source.role}, {source.evidence}") for source in roles.sources]
        _stop(graph, "a placeholder, queue or iterator on which the outputs depend", "input", candidates)
    several = len({node_name(tensor) for tensor in data}) < len(data)
    fed = all(graph.nodes[node_name(tensor)].op.startswith("Placeholder") for tensor in data)
    names = [f"input_{n}" if several else _label(t) if fed else "input" for n, t in enumerate(data)]
    return {name: (tensor, None) for name, tensor in zip(names, data, strict=True)}


def _stop(graph: Graph, expected: str, kind: str, candidates: Sequence[tuple[str, str]]) -> None:
    listed = "; ".join(f"{tensor} ({evidence})" for tensor, evidence in candidates[:_LISTED]) or "none"
    raise Undecided(
        f"{graph.where}: expected {expected}, got {listed}. Choose with --{kind} TENSOR.",
        kind,
        candidates[:_LISTED],
    )


def _label(tensor: str) -> str:
    """A short name for a tensor: the last part of its node's name."""
    return node_name(tensor).rpartition("/")[2].lower()


def _batch_shape(graph: Graph, name: str, inputs: Mapping[str, tuple[str, Shape]]) -> Shape:
    tensor = inputs[name][0]
    shape = recorded_shape(graph, full_name(tensor))
    if not shape:
        got = "none" if shape is None else "()"
        raise Undecided(
            f"{graph.where}: input {name!r}: expected a shape in the recording, got {got} for {tensor!r}."
            f" Set the shape, with the batch first and ? for any size: --input '{name}={tensor}[?,10]'.",
            "shape",
            [(_format_input(name, *entry), "") for name, entry in inputs.items()],
            name,
        )
    return (None, *shape[1:])


def _format_input(name: str, tensor: str, shape: Shape) -> str:
    """An input in the form of the flag `--input`."""
    sizes = ",".join("?" if size is None else str(size) for size in shape or ())
    return f"{name}={tensor}[{sizes}]" if sizes else f"{name}={tensor}"


def _with_flags(recording: Recording, asked: Selection, roles: Roles) -> Choice:
    """Set each flag to the value with which the outputs need fewer training-only operations."""
    constants, notes = dict(asked.constants), list[str]()
    redrawn: Redrawn | None = None
    fixed = {full_name(tensor) for tensor in constants}
    # Only flags that outputs need: a graph of 20,000 nodes takes seconds to draw.
    needed = _needed(recording, asked, constants) - fixed
    for flag in [source.tensor for source in roles.of("flag") if source.tensor in needed]:
        tried: dict[bool, int | None] = {}
        nearest: Redrawn | None = None  # keeps only one of two large graphs
        for value in (False, True):
            tried[value], candidate = _try_constants(recording, asked, {**constants, flag: value})
            if candidate is not None and (nearest is None or (tried[value] or 0) < (tried[False] or 0)):
                nearest = candidate
        counts = {value: count for value, count in tried.items() if count is not None}
        best = [value for value, count in counts.items() if count == min(counts.values(), default=0)]
        # A value that needs training operations is not chosen just because the other one is refused.
        if len(best) == 1 and not (counts[best[0]] and None in tried.values()):
            chosen, redrawn = best[0], nearest
            constants[flag], texts = chosen, {value: _format_count(tried[value]) for value in tried}
            notes.append(f"{flag} = {chosen}: {texts[chosen]}; {not chosen}: {texts[not chosen]}")
        elif counts and flag in _needed(recording, asked, constants):  # earlier flags may have cut it off
            raise Undecided(
                f"{recording.uri}: flag {flag!r}: cannot tell which value is for serving:"
                f" {_format_count(tried[False])} with false, and {_format_count(tried[True])} with true."
                f" Choose with --set {node_name(flag)}=false or --set {node_name(flag)}=true.",
                "set",
                [("false", _format_count(tried[False])), ("true", _format_count(tried[True]))],
                node_name(flag),
            )
    settled = Selection(inputs=asked.inputs, outputs=asked.outputs, constants=constants)
    return Choice(
        asked=settled,
        redrawn=redrawn or redraw_recording(recording, settled),
        roles=roles,
        notes=tuple(notes),
    )


def _try_constants(
    recording: Recording, asked: Selection, constants: Mapping[str, Any]
) -> tuple[int | None, Redrawn | None]:
    """The number of training-only parts that are left, and the redrawn graph; None if it is refused."""
    try:
        redrawn = redraw_recording(
            recording, Selection(inputs=asked.inputs, outputs=asked.outputs, constants=constants)
        )
    except InvalidDefinition:
        return None, None
    return sum(redrawn.counts.get(kind, 0) for kind in _TRAINING), redrawn


def _format_count(count: int | None) -> str:
    return "refused" if count is None else f"{count} training operations are used"


def _needed(recording: Recording, asked: Selection, constants: Mapping[str, Any]) -> set[str]:
    """The tensors without a value that the outputs need."""
    graph = open_graph(recording)
    cuts = [node_name(tensor) for tensor, _ in asked.inputs.values()]
    stop = [*cuts, *map(node_name, constants)]
    nodes = graph.reach(asked.outputs.values(), stop=stop)
    # A flag may select a constant by a control dependency alone.
    pivots = [name for name in with_pivots(graph, nodes) if name not in nodes]
    nodes |= graph.reach([tensor for name in pivots for tensor in graph.data_inputs(name)], stop=stop)
    return {f"{name}:0" for name in nodes if graph.nodes[name].op.startswith("Placeholder")}
