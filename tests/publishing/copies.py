"""What the real service does with a copy, and the server behind the proxy leaves undone.

It ignores `ifGenerationMatch`, and has every copy done in one call.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from tests.publishing.requests import StorageRequest

__all__ = ["CopyRules"]


class CopyRules:
    """Holds copies to their precondition.

    Args:
        upstream: Host and port of the server behind the proxy.

    Attributes:
        calls: In how many calls a copy is done.
    """

    def __init__(self, upstream: tuple[str, int]) -> None:
        self._upstream = upstream
        self._locks: dict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)
        self.calls = 1

    @contextlib.contextmanager
    def turn(self, request: StorageRequest) -> Iterator[tuple[int, dict[str, Any]] | None]:
        """One copy at a time makes an object of a name.

        Yields:
            Status and content to answer with, instead of passing the request on, if any.
        """
        if request.operation != "copy":
            yield None
            return
        with self._locks[request.bucket, request.name]:
            yield self._answer(request)

    def _answer(self, request: StorageRequest) -> tuple[int, dict[str, Any]] | None:
        if self._exists(request):
            message = "At least one of the pre-conditions you specified did not hold."
            return 412, {"error": {"code": 412, "message": message}}
        number = 1 + int(request.token or 0)
        if number == self.calls:
            return None
        sizes = {"totalBytesRewritten": "1", "objectSize": "2"}
        return 200, {"done": False, "rewriteToken": str(number), **sizes}

    def _exists(self, request: StorageRequest) -> bool:
        connection = http.client.HTTPConnection(*self._upstream, timeout=20)
        with contextlib.closing(connection):
            name = quote(request.name, safe="")
            connection.request("GET", f"/storage/v1/b/{request.bucket}/o/{name}")
            return connection.getresponse().status == 200
