"""Open the folder of a training run, wherever it is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from redraw.runs.folder import RunFolder
from redraw.storage.scratch import scratch_folder
from redraw.uri import Uri


@contextlib.contextmanager
def open_run_folder(uri: Uri, purpose: str) -> Iterator[RunFolder]:
    """Open a run's folder, wherever it is.

    Args:
        uri: A local folder, or one in a bucket (`gs://`); it need not exist.
        purpose: What for: the name of the scratch folder that a bucket's files pass through.

    Yields:
        The folder, for as long as the context lasts.

    Raises:
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    if not uri.is_bucket:
        yield RunFolder(Path(uri))
        return
    from redraw.runs.bucket import RemoteRunFolder  # with the bucket client

    with scratch_folder(purpose) as scratch:
        yield RemoteRunFolder(uri, scratch)
