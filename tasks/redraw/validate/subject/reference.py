"""The checkpoint itself, asked in evaluation mode: an export's answers are checked against its answers.

A checkpoint of a Redraw training run is restored by TensorFlow's own `tf.train.Checkpoint` (for a
TF1 graph function by its Saver) into the networks that training draws. That shares no code with
the export. A checkpoint from elsewhere does not match these networks; its tensors are assigned
one by one, as the restore ledger says, which still checks how the graph was drawn and served.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from redraw.checkpoint.catalogue.store import fetch_checkpoint, find_record
from redraw.errors import CheckpointMismatch
from redraw.records import Checkpoint, WeightsKind
from redraw.uri import Uri
from redraw.validate.subject.export_files import ExportFiles
from redraw.validate.subject.memory import demand_memory, weight_bytes


class Reference(Protocol):
    """Networks in evaluation mode, with the weights of the checkpoint that was last restored."""

    def restore(self, prefix: Path) -> str:
        """Restore a checkpoint of a Redraw training run with TensorFlow.

        Returns:
            What restored it, in words for the report.

        Raises:
            CheckpointMismatch: It does not fit the definition.
        """
        ...

    def assign(self, tensors: LedgerTensors) -> None:
        """Assign the tensors of any checkpoint to the variables that the restore ledger names.

        Raises:
            CheckpointMismatch: The checkpoint lacks a tensor, or a tensor does not fit its variable.
        """
        ...

    def answer(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Output name to answers, for inputs that match the signature."""
        ...

    def evaluate(self) -> dict[str, float]:
        """Metric name to value over the definition's evaluation data, including `loss`."""
        ...

    def close(self) -> None:
        """Free the weights."""
        ...


class LedgerTensors:
    """The tensors that the restore ledger names, read from the checkpoint one by one."""

    def __init__(self, files: ExportFiles) -> None:
        checkpoint = files.checkpoint
        self._uri = checkpoint.uri if isinstance(checkpoint, Checkpoint) else checkpoint
        self._source = files.source
        self._keys = {row["variable"]: row["key"] for row in files.ledger["served"]}

    def read(self, variable: str) -> np.ndarray | None:
        """The value of a served variable; None for a variable that is not served.

        Raises:
            CheckpointMismatch: The checkpoint lacks the tensor.
            CheckpointCorrupt: It differs from its checksum.
        """
        key = self._keys.get(variable)
        if key is None:
            return None
        if key not in self._source.entries:
            raise CheckpointMismatch(
                f"{self._uri}: expected the tensor {key!r}, which the restore ledger names, found none."
                " Validate with the checkpoint that the export was made from."
            )
        return self._source.read_array(key)


def restore_reference(
    files: ExportFiles, draw: Callable[[WeightsKind], Reference], scratch: Path, *, recorded: bool = False
) -> tuple[Reference, str]:
    """Restore the checkpoint that an export is compared with.

    Args:
        files: The export.
        draw: A function that draws the definition's networks in evaluation mode.
        scratch: An empty folder.
        recorded: Whether the definition names a recording, whose Saver reads every checkpoint of the graph.

    Returns:
        The definition's networks with the checkpoint's weights, and how they were restored.

    Raises:
        CheckpointMismatch: The checkpoint does not fit the definition.
        CheckpointNotFound: The checkpoint does not exist.
        CannotRun: Restoring needs the ledger, and there is none; or there is too little memory.
    """
    foreign = not recorded and _is_foreign(files.checkpoint)
    # Assigning a tensor holds it three times: as read, as assigned and in its variable.
    largest = max((entry.size for entry in files.bundle.entries.values()), default=0)
    demand_memory(
        "to restore the checkpoint into the definition's network",
        weight_bytes(files.folder) + (2 * largest if foreign else 0),
    )
    reference = draw(files.exported.weights)
    if foreign:
        reference.assign(LedgerTensors(files))
        return reference, "the checkpoint's tensors, assigned by the restore ledger"
    prefix, _ = fetch_checkpoint(files.checkpoint, scratch / "reference")
    return reference, f"{prefix.name}, restored by {reference.restore(prefix)}"


def _is_foreign(checkpoint: Checkpoint | Uri) -> bool:
    """Whether a checkpoint comes from elsewhere than a training run of Redraw."""
    record = checkpoint if isinstance(checkpoint, Checkpoint) else find_record(checkpoint)
    return record is None or record.run is None
