"""Check before a switch that TensorFlow's C++ loader loads a published version."""

from __future__ import annotations

import logging
import time

from redraw.definition.registry import declared_ops
from redraw.errors import NotLoadable
from redraw.names import ModelName
from redraw.publish.bucket.verified import fetch_verified
from redraw.storage.opening import Storage
from redraw.storage.scratch import scratch_folder

_logger = logging.getLogger(__name__)


def demand_loadable(storage: Storage, model: ModelName, version: int, public_key: str | None) -> None:
    """Download and verify a version, and load it as a server does, in a separate process.

    Raises:
        RedrawError: The version cannot be verified, so nothing is loaded.
        NotLoadable: The C++ loader refuses it, or crashes.
        StorageError: The bucket cannot be read.
        DiskFull: There is no room for its files.
    """
    # Imported here because a push does not need it: validation has loaded the version already.
    from redraw.serving import LoadFailed, ServingCrashed, ServingProcess

    started = time.monotonic()
    with ServingProcess() as serving, scratch_folder("live") as scratch:
        release = fetch_verified(storage, model, version, scratch / "version", public_key)
        try:
            trained_at = release.checkpoint.trained_at
            serving.load(
                scratch / "version", declared=lambda: declared_ops(release.model, trained_at)
            ).close()
        except (LoadFailed, ServingCrashed) as err:
            raise NotLoadable(
                f"{release.uri}: TensorFlow's C++ loader cannot load this version: {err}. The live version"
                " was not changed. Choose another version."
            ) from err
    _logger.info("%s loads, seen in %.1f s", release.uri, time.monotonic() - started)
