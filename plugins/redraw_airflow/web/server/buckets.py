"""The buckets of this Airflow, opened once for all requests, with the connection of the pages."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from typing import Annotated, Any

from cachetools import TTLCache, cached, cachedmethod
from fastapi import Depends

from redraw.checkpoint.catalogue.count import Count, count_checkpoints
from redraw.errors import InvalidSetting, RedrawError
from redraw.names import ModelName
from redraw.publish.browse import Browser
from redraw.storage.opening import Storage, open_storage
from redraw.uri import BucketUri, Uri
from redraw_airflow.settings import CHECKPOINTS, MODEL_BUCKET, WEB_CONNECTION
from redraw_airflow.stages.credentials import Grants, using_connection
from redraw_airflow.web.server.read_results import ReadResult, attempt

# A catalogue grows slowly, so its counts may be a minute old.
_COUNT_SECONDS = 60.0
_MODELS = 10_000
# After this time a changed connection is noticed.
_CONNECTION_SECONDS = 30.0
_CONNECTIONS = 8


class CatalogueCounts:
    """The number of a model's checkpoints in a catalogue, cached for a minute; threads may share it.

    Args:
        catalogue: The catalogue; None if the API server has none.
        clock: Monotonic seconds.
    """

    def __init__(self, catalogue: Storage | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._catalogue = catalogue
        self._lock = threading.Lock()
        self._counts = TTLCache[Any, Count | None](_MODELS, _COUNT_SECONDS, clock)

    @cachedmethod(lambda self: self._counts, lock=lambda self: self._lock)
    def of(self, model: ModelName) -> Count | None:
        """The count of a model's checkpoints; None without a catalogue."""
        return None if self._catalogue is None else count_checkpoints(self._catalogue, model)


def model_browser() -> Browser:
    """The browser of the bucket that `REDRAW_MODEL_BUCKET` names, as a dependency of the routes.

    Raises:
        InvalidSetting: The API server has no such setting, or it is not the URI of a bucket.
        StorageForbidden: There are no credentials for the bucket.
    """
    bucket = MODEL_BUCKET.read()
    if not bucket:
        raise InvalidSetting(
            f"{MODEL_BUCKET.variable}: expected gs://BUCKET in the API server's environment, or option"
            f" {MODEL_BUCKET.name} of [redraw] in Airflow's configuration, got none. Set one of them."
        )
    return _browser(BucketUri(bucket), _scope(WEB_CONNECTION.read()))


def catalogue_counts() -> CatalogueCounts:
    """The counts of the catalogue that `REDRAW_CHECKPOINTS` names, as a dependency of the routes."""
    catalogue = CHECKPOINTS.read()
    return _counts(Uri(catalogue), _scope(WEB_CONNECTION.read())) if catalogue else _counts(None, "")


BrowserDep = Annotated[Browser, Depends(model_browser)]


def try_browser() -> ReadResult[Browser]:
    """The bucket's browser, or why it cannot be opened, for a page that shows more than the bucket."""
    return attempt(model_browser, RedrawError)


def try_counts() -> ReadResult[CatalogueCounts]:
    """The counts of the catalogue, or why it cannot be opened."""
    return attempt(catalogue_counts, RedrawError)


MaybeBrowser = Annotated[ReadResult[Browser], Depends(try_browser)]
MaybeCounts = Annotated[ReadResult[CatalogueCounts], Depends(try_counts)]


@functools.lru_cache(_CONNECTIONS)
def _browser(bucket: BucketUri, scope: str) -> Browser:
    return Browser(_open(bucket))


@functools.lru_cache(_CONNECTIONS)
def _counts(catalogue: Uri | None, scope: str) -> CatalogueCounts:
    return CatalogueCounts(None if catalogue is None else _open(catalogue))


@cached(TTLCache[Any, str](_CONNECTIONS, _CONNECTION_SECONDS), lock=threading.Lock())
def _scope(connection: str) -> str:
    """The state of the connection; if it changes, the buckets are opened again."""
    return Grants(connection).scope()


def _open(uri: Uri) -> Storage:
    """Open a bucket with the connection that `REDRAW_WEB_CONNECTION` names."""
    with using_connection(WEB_CONNECTION.read()):
        return open_storage(uri)
