"""List a model's checkpoints in the catalogue."""

from __future__ import annotations

from tasks.checkpoint.catalogue import find_record
from tasks.descriptions import CheckpointList
from tasks.names import check_model_name
from tasks.requests import CheckpointsRequest
from tasks.storage import open_storage

__all__ = ["list_catalogue"]


def list_catalogue(request: CheckpointsRequest) -> CheckpointList:
    """List a model's checkpoints, the newest weights first.

    Args:
        request: The model, the catalogue, and between which times and of which steps.

    Returns:
        The records.

    Raises:
        InvalidRecord: A record is damaged.
        StorageError: The catalogue cannot be read.
    """
    storage, model = open_storage(request.catalogue), check_model_name(request.model)
    names = [item.name for item in storage.list(f"{model}/") if item.name.endswith("/record.json")]
    records = [find_record(f"{storage.uri}/{name.rpartition('/')[0]}") for name in names]
    found = [
        record
        for record in records
        if record is not None
        and (request.from_time or "") <= record.trained_at
        and not (request.to_time and record.trained_at >= request.to_time)
        and (not request.steps or record.step in request.steps)
    ]
    newest_first = sorted(found, key=lambda record: (record.trained_at, record.step), reverse=True)
    return CheckpointList(model=model, checkpoints=tuple(newest_first))
