"""Show people what `inspect` found."""

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


def print_tables(described: CheckpointDescription | SavedModelDescription) -> None:
    """Print tables to standard output."""
    console = open_console()
    if isinstance(described, CheckpointDescription):
        _print_checkpoint(console, described)
    else:
        _print_saved_model(console, described)


def _print_checkpoint(console: Console, described: CheckpointDescription) -> None:
    step = "unknown" if described.step is None else str(described.step)
    _print_facts(
        console,
        {
            "Checkpoint": described.uri,
            "Format": described.format,
            "Step": step,
            "Data files": f"{described.shards:,}",
            "Size": _size(described.size_bytes),
        },
    )
    if described.recording is not None:
        _print_recording(console, described.recording)
    console.print(_roles(described.tensors))
    console.print(_tensors("Tensor", described.tensors))


def _print_recording(console: Console, found: FoundRecording) -> None:
    summary = found.problem or f"{found.operations:,} operations, recorded by training"
    _print_facts(console, {"Graph": f"{found.uri}: {summary}"})
    for source in found.sources:
        _print_facts(console, {"  given": source})
    for output in found.outputs:
        _print_facts(console, {"  answers": output})
    _print_facts(console, {"  draft": f"{found.command} --name NAME --out PACKAGE"})


def _print_saved_model(console: Console, described: SavedModelDescription) -> None:
    facts = {"SavedModel": described.uri, "Tags": ", ".join(described.tags)}
    _print_facts(console, facts | {"Size": _size(described.size_bytes)})
    console.print(_signatures(described.signatures))
    console.print(_tensors("Variable", described.variables))
    operations = _table("Operation", "Nodes")
    for name, count in described.operations.items():
        operations.add_row(cell(name), f"{count:,}")
    console.print(operations)


def _print_facts(console: Console, facts: Mapping[str, str]) -> None:
    for name, value in facts.items():
        console.print(Text.assemble((f"{name:<{_NAMES_WIDTH}}", "bold"), cell(value)), soft_wrap=True)


def _roles(tensors: Iterable[TensorDescription]) -> Table:
    """What the tensors are there for: how many and how large, weights, slots and averages apart."""
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
    # A name that is too long goes on in the next line: cut off it could not be copied.
    table.add_column(name, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in texts:
        table.add_column(heading, overflow="fold")
    return table


def _size(size: int) -> str:
    return f"{size:,} B" if size < 1_000_000 else f"{size / 1e6:,.1f} MB"
