"""Redraw the graph for inference, move a checkpoint's weights under it, write a SavedModel.

The graph and the weights part ways: the graph is drawn with variables that are declared
and never allocated, each is given its source in the checkpoint, and the bytes of just
those tensors are copied from file to file. So an export costs a second or two more than
a copy of what it serves, and no memory for it.

<out>/                saved_model.pb, variables/, assets/, assets.extra/
<out>.ledger.json     the restore ledger
<out>.files.json      every file with its checksums
<out>.json            the export's record
"""

from __future__ import annotations

from tasks.export.exporter import Exporter
from tasks.records import ExportedModel
from tasks.requests import ExportRequest

__all__ = ["export_model"]


def export_model(request: ExportRequest) -> ExportedModel:
    """Export a checkpoint as a SavedModel with every signature of its definition.

    The folder appears under its name when it is complete, and not before.

    Args:
        request: The model, the checkpoint, the output folder, and which weights to serve.

    Returns:
        The export's record, also in `<out>.json`.

    Raises:
        UnknownModel: No definition of that name.
        InvalidDefinition: The definition cannot be drawn.
        OutputExists: The output folder holds something.
        CheckpointNotFound: There is no checkpoint.
        CheckpointCorrupt: The checkpoint is not whole.
        CheckpointMismatch: It is of another model, or a served variable is not in it.
        NonFiniteWeights: A served variable holds NaN or infinity, which was not allowed.
        DiskFull: No space for the SavedModel.
    """
    return Exporter().export(request)
