"""Would a server load a published version? Asked of TensorFlow's C++ loader before a switch."""

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
    """Fetch a version, verified, and load it as a server does, in a process of its own.

    Raises:
        RedrawError: As `fetch_verified`: then nothing is loaded.
        NotLoadable: The C++ loader refuses it, or dies of it.
        StorageError: The bucket cannot be read.
        DiskFull: There is no room for its files.
    """
    # Imported here: a push that makes its version live has loaded it when it was validated.
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
                f"{release.uri}: expected a version that TensorFlow's C++ loader takes, got: {err}."
                " It was not made live: choose another version."
            ) from err
    _logger.info("%s loads, seen in %.1f s", release.uri, time.monotonic() - started)
