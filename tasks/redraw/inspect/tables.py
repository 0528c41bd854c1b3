"""Show the results of `redraw inspect` as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from redraw.console import cell, open_console
from redraw.records import Signature, TensorSpec
from redraw.records.results import (
    CheckpointDescription,
    FoundRecording,
    SavedModelDescription,
    TensorDescription,
)

_NAMES_WIDTH = 11


def print_tables(description: CheckpointDescription | SavedModelDescription) -> None:
    """Print tables to standard output."""
    console = open_console()
    if isinstance(description, CheckpointDescription):
        _print_checkpoint(console, description)
    else:
        _print_saved_model(console, description)


def _print_checkpoint(console: Console, description: CheckpointDescription) -> None:
    step = "unknown" if description.step is None else str(description.step)
    _print_facts(
        console,
        {
            "Checkpoint": description.uri,
            "Format": description.format,
            "Step": step,
            "Data files": f"{description.shards:,}",
            "Size": _size(description.size_bytes),
        },
    )
    if description.recording is not None:
        _print_recording(console, description.recording)
    console.print(_roles(description.tensors))
    console.print(_tensors("Tensor", description.tensors))


def _print_recording(console: Console, recording: FoundRecording) -> None:
    summary = recording.problem or f"{recording.operations:,} operations, recorded by training"
    _print_facts(console, {"Graph": f"{recording.uri}: {summary}"})
    for source in recording.sources:
        _print_facts(console, {"  given": source})
    for output in recording.outputs:
        _print_facts(console, {"  answers": output})
    _print_facts(console, {"  draft": f"{recording.command} --name NAME --out PACKAGE"})


def _print_saved_model(console: Console, description: SavedModelDescription) -> None:
    facts = {"SavedModel": description.uri, "Tags": ", ".join(description.tags)}
    _print_facts(console, facts | {"Size": _size(description.size_bytes)})
    console.print(_signatures(description.signatures))
    console.print(_tensors("Variable", description.variables))
    operations = _table("Operation", "Nodes")
    for name, count in description.operations.items():
        operations.add_row(cell(name), f"{count:,}")
    console.print(operations)


def _print_facts(console: Console, facts: Mapping[str, str]) -> None:
    for name, value in facts.items():
        console.print(Text.assemble((f"{name:<{_NAMES_WIDTH}}", "bold"), cell(value)), soft_wrap=True)


def _roles(tensors: Iterable[TensorDescription]) -> Table:
    """The number and size of the tensors of each role, such as weights, slots and averages."""
    counts, sizes = Counter[str](), Counter[str]()
    for tensor in tensors:
        counts[tensor.role] += 1
        sizes[tensor.role] += tensor.size_bytes
    table = _table("Role", "Tensors", "Size")
    for role, size in sizes.most_common():
        table.add_row(cell(role), f"{counts[role]:,}", _size(size))
    return table


def _tensors(heading: str, tensors: Iterable[TensorDescription]) -> Table:
    table = _table(heading, "Size", texts=("Dtype", "Shape", "Role"))
    for tensor in tensors:
        shape = cell(str(list(tensor.shape)))
        table.add_row(
            cell(tensor.key), _size(tensor.size_bytes), cell(tensor.dtype), shape, cell(tensor.role)
        )
    return table


def _signatures(signatures: Mapping[str, Signature]) -> Table:
    table = _table("Signature", texts=("Inputs", "Outputs"))
    for name, signature in signatures.items():
        table.add_row(cell(name), _specs(signature.inputs), _specs(signature.outputs))
    return table


def _specs(specs: Mapping[str, TensorSpec]) -> Text:
    return Text("\n").join(cell(f"{name}: {spec}") for name, spec in specs.items())


def _table(name: str, *numbers: str, texts: Iterable[str] = ()) -> Table:
    table = Table()
    # A long name wraps: a cut one could not be copied.
    table.add_column(name, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in texts:
        table.add_column(heading, overflow="fold")
    return table


def _size(size: int) -> str:
    return f"{size:,} B" if size < 1_000_000 else f"{size / 1e6:,.1f} MB"
