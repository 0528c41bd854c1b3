"""What a checkpoint itself makes of requests, asked in evaluation mode: what an export is held to.

A checkpoint that a training run of ours saved is restored by TensorFlow's own
`tf.train.Checkpoint` (of a TF1 graph function: by its Saver), under the networks as
training drew them: a way that shares nothing with the export's. Files that came from
elsewhere fit no such network as a whole; of these the ledger's tensors are assigned
to the network one by one, which still holds the drawing and the moving to account.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np

from tasks.checkpoint.catalogue import find_record
from tasks.checkpoint.source import open_checkpoint
from tasks.definition import GraphFunctionDefinition
from tasks.errors import CheckpointMismatch
from tasks.records import Checkpoint

if TYPE_CHECKING:
    from tasks.validate.subject import Subject

__all__ = ["LedgerTensors", "Reference", "restore_reference"]


class Reference(Protocol):
    """A checkpoint, restored; `how` says in which way.

    All its methods raise `CheckpointMismatch` where the checkpoint does not fit the definition.
    """

    how: str

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

    def __init__(self, subject: Subject) -> None:
        reference = subject.checkpoint
        self._uri = reference.uri if isinstance(reference, Checkpoint) else reference
        self._source = open_checkpoint(self._uri)
        self._keys = {row["variable"]: row["key"] for row in subject.ledger["served"]}

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


def restore_reference(subject: Subject) -> Reference:
    """Restore the checkpoint that an export is held to.

    Args:
        subject: The export.

    Returns:
        The checkpoint under the definition's networks.

    Raises:
        CheckpointMismatch: The checkpoint does not fit the definition.
        CheckpointNotFound: It is gone.
        CannotRun: It can be restored by the ledger alone, and there is none.
    """
    definition, foreign = subject.definition, _is_foreign(subject.checkpoint)
    # Imported here: each imports TensorFlow, and a subject is made before that is needed.
    if isinstance(definition, GraphFunctionDefinition):
        from tasks.validate.session_reference import SessionReference

        return SessionReference(definition, subject, foreign)
    from tasks.validate.network_reference import NetworkReference

    return NetworkReference(subject, foreign)


def _is_foreign(reference: Checkpoint | str) -> bool:
    """Whether no training run of ours has saved it."""
    record = reference if isinstance(reference, Checkpoint) else find_record(reference)
    return record is None or record.run is None
