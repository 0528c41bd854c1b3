"""Choose what a recorded graph serves: only where one choice is left, else list them and stop."""

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
    """Several choices are as good, or there is none; the message lists them.

    Args:
        message: For who is not at a terminal.
        kind: What is to be chosen: `output`, `input`, `shape` or `set`.
        candidates: What may be chosen, each with its evidence, the likeliest first; none: anything.
        about: The tensor that a shape or a value is for.
    """

    def __init__(
        self, message: str, kind: str, candidates: Sequence[tuple[str, str]], about: str = ""
    ) -> None:
        super().__init__(message)
        self.kind, self.candidates, self.about = kind, tuple(candidates), about


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is to be served.

    Attributes:
        asked: Inputs, outputs and constants.
        redrawn: What becomes of the graph so.
        roles: What the graph's sources are there for.
        notes: Why flags have their values.
        signatures: Signature to what `asked` calls its inputs and its outputs; empty for one of all of them.
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
        inputs: Input name to tensor and shape, as far as they were given; None for the recorded shape.
        outputs: Output name to tensor, if they were given.
        constants: Tensor to value, of what was given.

    Raises:
        Undecided: Several are as good, or there is none.
        InvalidDefinition: It cannot be served so.
    """
    graph = open_graph(recording)
    wanted = [graph.demand_tensor(tensor, "output") for tensor in outputs.values()]
    roles = find_roles(graph, wanted)
    outputs = outputs or _chosen_outputs(graph, roles)
    if not inputs:
        inputs = _chosen_inputs(graph, find_roles(graph, [full_name(t) for t in outputs.values()]))
    shaped = {
        name: (tensor, shape or _batched(graph, name, inputs)) for name, (tensor, shape) in inputs.items()
    }
    asked = Selection(inputs=shaped, outputs=outputs, constants=constants)
    return _with_flags(recording, asked, roles)


def _chosen_outputs(graph: Graph, roles: Roles) -> dict[str, str]:
    heads = [output for output in roles.outputs if output.rank == 1]
    named = [output for output in roles.outputs if output.rank > 1]
    logits = [output for output in heads if "loss" in output.evidence]
    kinds = [graph.nodes[node_name(output.tensor)].op for output in named]
    unsure = not named and len(heads) != 1
    if unsure or len(logits) > 1 or len(set(kinds)) < len(kinds):
        ranked = sorted(roles.outputs, key=lambda output: -output.rank)
        _stop(graph, "one output, or one head", "output", [(one.tensor, one.evidence) for one in ranked])
    return {_label(output.tensor): output.tensor for output in named or heads}


def _chosen_inputs(graph: Graph, roles: Roles) -> dict[str, tuple[str, Shape]]:
    data = [source.tensor for source in roles.of("data")]
    if not data:
        shown = [(one.tensor, f"{one.role}, {one.evidence}") for one in roles.sources]
        _stop(graph, "a placeholder, queue or iterator that leads to the outputs", "input", shown)
    several = len({node_name(tensor) for tensor in data}) < len(data)
    fed = all(graph.nodes[node_name(tensor)].op.startswith("Placeholder") for tensor in data)
    names = [f"input_{n}" if several else _label(t) if fed else "input" for n, t in enumerate(data)]
    return {name: (tensor, None) for name, tensor in zip(names, data, strict=True)}


def _stop(graph: Graph, expected: str, kind: str, found: Sequence[tuple[str, str]]) -> None:
    listed = "; ".join(f"{tensor} ({evidence})" for tensor, evidence in found[:_LISTED]) or "none"
    raise Undecided(
        f"{graph.where}: expected {expected}, got {listed}. Choose: --{kind} TENSOR.", kind, found[:_LISTED]
    )


def _label(tensor: str) -> str:
    """A short name for a tensor, the last part of its own that says something."""
    return node_name(tensor).rpartition("/")[2].lower()


def _batched(graph: Graph, name: str, inputs: Mapping[str, tuple[str, Shape]]) -> Shape:
    tensor = inputs[name][0]
    shape = recorded_shape(graph, full_name(tensor))
    if not shape:
        got = "none" if shape is None else "()"
        raise Undecided(
            f"{graph.where}: input {name!r}: expected a shape in the recording, got {got} for {tensor!r}."
            f" Say it, the batch first, with ? for any size: --input '{name}={tensor}[?,10]'.",
            "shape",
            [(_asked(*one), "") for one in inputs.items()],
            name,
        )
    return (None, *shape[1:])


def _asked(name: str, given: tuple[str, Shape]) -> str:
    """An input as a flag has it."""
    tensor, shape = given
    sizes = ",".join("?" if size is None else str(size) for size in shape or ())
    return f"{name}={tensor}[{sizes}]" if sizes else f"{name}={tensor}"


def _with_flags(recording: Recording, asked: Selection, roles: Roles) -> Choice:
    """Set each flag to the value that reaches less of what only training has."""
    constants, notes = dict(asked.constants), list[str]()
    redrawn: Redrawn | None = None
    given = {full_name(tensor) for tensor in constants}
    # One that no output needs changes nothing; a graph of 20,000 nodes takes seconds to draw.
    needed = _needed(recording, asked, constants) - given
    for flag in [source.tensor for source in roles.of("flag") if source.tensor in needed]:
        tried: dict[bool, int | None] = {}
        nearest: Redrawn | None = None  # of two large graphs only one is kept
        for value in (False, True):
            tried[value], found = _tried(recording, asked, {**constants, flag: value})
            if found is not None and (nearest is None or (tried[value] or 0) < (tried[False] or 0)):
                nearest = found
        counts = {value: count for value, count in tried.items() if count is not None}
        best = [value for value, count in counts.items() if count == min(counts.values(), default=0)]
        # That the other value is refused says nothing for one that reaches what trains.
        if len(best) == 1 and not (counts[best[0]] and None in tried.values()):
            constants[flag], redrawn = best[0], nearest
            notes.append(
                f"{flag} = {best[0]}: {_shown(tried[best[0]])}; {not best[0]}: {_shown(tried[not best[0]])}"
            )
        elif counts and flag in _needed(recording, asked, constants):  # those before may have cut it off
            raise Undecided(
                f"{recording.uri}: flag {flag!r}: expected one value with less of training, got"
                f" {_shown(tried[False])} with false and {_shown(tried[True])} with true."
                f" Choose: --set {node_name(flag)}=false, or =true.",
                "set",
                [("false", _shown(tried[False])), ("true", _shown(tried[True]))],
                node_name(flag),
            )
    settled = Selection(inputs=asked.inputs, outputs=asked.outputs, constants=constants)
    return Choice(
        asked=settled,
        redrawn=redrawn or redraw_recording(recording, settled),
        roles=roles,
        notes=tuple(notes),
    )


def _tried(
    recording: Recording, asked: Selection, constants: Mapping[str, Any]
) -> tuple[int | None, Redrawn | None]:
    """How much of training is reached so, and what becomes of the graph; None where it is refused."""
    try:
        redrawn = redraw_recording(
            recording, Selection(inputs=asked.inputs, outputs=asked.outputs, constants=constants)
        )
    except InvalidDefinition:
        return None, None
    return sum(redrawn.counts.get(kind, 0) for kind in _TRAINING), redrawn


def _shown(count: int | None) -> str:
    return "refused" if count is None else f"{count} parts of training reached"


def _needed(recording: Recording, asked: Selection, constants: Mapping[str, Any]) -> set[str]:
    """The tensors without a value that the outputs need."""
    graph = open_graph(recording)
    cuts = [node_name(tensor) for tensor, _ in asked.inputs.values()]
    stop = [*cuts, *map(node_name, constants)]
    reached = graph.reach(asked.outputs.values(), stop=stop)
    # A flag may decide only by a control dependency which constant is taken.
    pivots = [name for name in with_pivots(graph, reached) if name not in reached]
    reached |= graph.reach([tensor for name in pivots for tensor in graph.data_inputs(name)], stop=stop)
    return {f"{name}:0" for name in reached if graph.nodes[name].op.startswith("Placeholder")}
