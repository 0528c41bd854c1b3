"""Export one checkpoint as a SavedModel."""

from __future__ import annotations

from redraw.export.exporter import Exporter
from redraw.records import ExportedModel
from redraw.requests import ExportRequest


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
