"""What a checkpoint itself makes of requests, asked in evaluation mode: what an export is checked against.

A checkpoint that a training run of ours saved is restored by TensorFlow's own
`tf.train.Checkpoint` (of a TF1 graph function: by its Saver), under the networks as
training drew them: a way that shares nothing with the export's. Files that came from
elsewhere fit no such network as a whole; of these the ledger's tensors are assigned
to the network one by one, which still holds the drawing and the moving to account.
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
    """Networks in evaluation mode, and the checkpoint that was last restored under them."""

    def restore(self, prefix: Path) -> str:
        """Restore a checkpoint of our own training by TensorFlow's own means; says by which.

        Raises:
            CheckpointMismatch: It does not fit the definition.
        """
        ...

    def assign(self, tensors: LedgerTensors) -> None:
        """Assign the tensors of any checkpoint, as the restore ledger says.

        Raises:
            CheckpointMismatch: The checkpoint lacks one of them, or it does not fit.
        """
        ...

    def answer(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Output name to answers; `inputs` are as the signature says."""
        ...

    def evaluate(self) -> dict[str, float]:
        """Metric name to value over the definition's evaluation data, `loss` among them."""
        ...

    def close(self) -> None:
        """Let go of the weights."""
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
                f"{self._uri}: expected the tensor {key!r} of the ledger, got none."
                " Validate with the checkpoint that the export was made of."
            )
        return self._source.read_array(key)


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
