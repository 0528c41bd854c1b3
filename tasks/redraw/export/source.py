"""Open the checkpoint of an export: from the catalogue, or from files without a record."""

from __future__ import annotations

from dataclasses import replace

import keras

from redraw.checkpoint.catalogue.bare import describe_bare
from redraw.checkpoint.catalogue.store import demand_model, find_record
from redraw.checkpoint.formats.archive import ArchiveSource
from redraw.checkpoint.formats.source import CheckpointSource, open_checkpoint
from redraw.errors import CheckpointCorrupt, CheckpointMismatch
from redraw.records import Checkpoint
from redraw.requests import ExportRequest

# Classes whose code is in the archive itself, as Python's byte code or as a name to import.
_CODE = {"Lambda", "__lambda__", "function"}


def open_origin(request: ExportRequest) -> tuple[CheckpointSource, Checkpoint]:
    """Open the checkpoint that a request names.

    Args:
        request: Its `checkpoint` is a record, a folder of the catalogue, or any checkpoint's
            URI; its `step` chooses one of several.

    Returns:
        The checkpoint, and its record: the catalogue's, or one made from the files.

    Raises:
        CheckpointNotFound: There is none.
        CheckpointCorrupt: It is damaged, or does not match its record.
        CheckpointMismatch: It is of another model.
        StorageError: The bucket cannot be read.
    """
    checkpoint = request.checkpoint
    record = checkpoint if isinstance(checkpoint, Checkpoint) else find_record(checkpoint)
    if record is None:
        source = open_checkpoint(str(checkpoint), request.step)
        unrecorded = describe_bare(source, request.model)
        # An absolute path, which is valid in any working directory.
        return source, replace(unrecorded, uri=unrecorded.uri.absolute())
    demand_model(record, request.model)
    source = open_checkpoint(record.files_uri)
    if source.digest() != record.digest:
        raise CheckpointCorrupt(
            f"{source.uri}: expected tensors with digest {record.digest:.12}…, as in the checkpoint's"
            f" record, got {source.digest():.12}…. The files were replaced. Choose another checkpoint."
        )
    return source, record


def refuse_code(source: CheckpointSource) -> None:
    """Refuse an archive whose model needs code that this process has not registered.

    The code would not run here, but the definition's network may then differ from the saved
    one, and nothing shows that it computes the same.

    Args:
        source: The checkpoint; its definition has been imported.

    Raises:
        CheckpointMismatch: It is such an archive.
    """
    if not isinstance(source, ArchiveSource):
        return
    unknown = [
        name
        for name in source.foreign_classes
        if name in _CODE or keras.saving.get_registered_object(name) is None
    ]
    if unknown:
        raise CheckpointMismatch(
            f"{source.uri}: expected only Keras' own layers, got {', '.join(unknown)}, whose code Redraw"
            " does not load from a checkpoint. Register the class in the definition's module"
            " (keras.saving.register_keras_serializable), or save only the weights (.weights.h5)."
        )
