"""Restore the checkpoint that an export is compared with, by TensorFlow's own means where it can be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from redraw.checkpoint.catalogue.store import fetch_checkpoint, find_record
from redraw.records import Checkpoint, WeightsKind
from redraw.uri import Uri
from redraw.validate.subject.export_files import ExportFiles
from redraw.validate.subject.memory import demand_memory, weight_bytes
from redraw.validate.subject.reference import LedgerTensors, Reference


def restore_reference(
    files: ExportFiles, draw: Callable[[WeightsKind], Reference], scratch: Path, *, recorded: bool = False
) -> tuple[Reference, str]:
    """Restore the checkpoint that an export is compared with.

    Args:
        files: The export.
        draw: Draws the definition's networks in evaluation mode.
        scratch: An empty folder.
        recorded: Whether the definition names a recording, whose own Saver reads any checkpoint of it.

    Returns:
        The checkpoint under the definition's networks, and how it was restored.

    Raises:
        CheckpointMismatch: The checkpoint does not fit the definition.
        CheckpointNotFound: It is gone.
        CannotRun: It can be restored only by the ledger, and there is none; or there is not the memory.
    """
    foreign = not recorded and _is_foreign(files.checkpoint)
    # By the ledger each tensor in turn is held as it was read, as it is assigned, and in its variable.
    largest = max((entry.size for entry in files.bundle.entries.values()), default=0)
    demand_memory(
        "to restore the checkpoint under the definition's network",
        weight_bytes(files.folder) + (2 * largest if foreign else 0),
    )
    reference = draw(files.exported.weights)
    if foreign:
        reference.assign(LedgerTensors(files))
        return reference, "the checkpoint's tensors, assigned by the restore ledger"
    prefix, _ = fetch_checkpoint(files.checkpoint, scratch / "reference")
    return reference, f"{prefix.name}, restored by {reference.restore(prefix)}"


def _is_foreign(checkpoint: Checkpoint | Uri) -> bool:
    """Whether no training run of Redraw has saved it."""
    record = checkpoint if isinstance(checkpoint, Checkpoint) else find_record(checkpoint)
    return record is None or record.run is None
