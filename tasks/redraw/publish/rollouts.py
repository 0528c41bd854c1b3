"""The results of a version's rollouts: objects next to its report, which `prune` removes with it.

No record of a version names these objects, because they are written later: they are shown, but decide
nothing.
"""

from __future__ import annotations

import hashlib
import logging

from redraw.errors import InvalidRecord, StorageError
from redraw.names import ModelName
from redraw.publish.bucket.layout import attachment_name, encode_record, reports_folder
from redraw.records import Rollout
from redraw.storage.opening import AlreadyThere, Storage

_NAME = "rollout.json"

_logger = logging.getLogger(__name__)


def keep_rollout(storage: Storage, rollout: Rollout) -> None:
    """Store a result; if the bucket refuses it, a warning is logged and nothing fails."""
    try:
        content = encode_record(rollout)
        name = attachment_name(rollout.model, rollout.version, _NAME, hashlib.sha256(content).hexdigest())
        storage.create(name, content)
    except AlreadyThere:
        pass  # the same result of the same second
    except (InvalidRecord, StorageError) as err:  # the rollout itself succeeded
        _logger.warning("%s: its %s is not stored, and no page shows it: %s", rollout.uri, _NAME, err)


def read_rollout(storage: Storage, model: ModelName, version: int) -> Rollout | None:
    """The last rollout's result, by the storage's clock; None if there was no rollout.

    Raises:
        InvalidRecord: It is no result, or the result of another version.
        StorageError: The bucket cannot be read.
    """
    objects = [
        item for item in storage.walk(f"{reports_folder(model, version)}/") if item.name.endswith(f"-{_NAME}")
    ]
    if not objects:
        return None
    last = max(objects, key=lambda item: (item.written_at, item.generation))
    content = storage.read(last.name)
    if content is None:  # pruned since
        return None
    where = f"{storage.uri}/{last.name}"
    rollout = Rollout.from_text(content, where)
    if (rollout.model, rollout.version) != (model, version):
        raise InvalidRecord(
            f"{where}: expected a result of version {version} of {model}, got a result of version"
            f" {rollout.version} of {rollout.model}. Remove the copied object."
        )
    return rollout
