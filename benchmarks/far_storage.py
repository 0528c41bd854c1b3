"""The local storage server with latency: each request waits like one to a remote machine.

Usage: `python -m benchmarks.far_storage PORT ROOT TOKEN MILLISECONDS BUCKET …`
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from redraw_airflow.standalone.storage_server.server import StorageServer

__all__ = ["main"]


def main(port: int, root: Path, token: str, seconds: float, buckets: list[str]) -> None:
    """Serve, with a delay before each request."""
    server = StorageServer(("127.0.0.1", port), root, token, frozenset({f"127.0.0.1:{port}"}))
    for bucket in buckets:
        server.objects.make_bucket(bucket)

    class Far(server.RequestHandlerClass):  # type: ignore[misc, name-defined]
        """The server's own handler, with a delay."""

        def _serve(self) -> Any:
            time.sleep(seconds)
            return super()._serve()

        do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - names that http.server calls

    server.RequestHandlerClass = Far
    server.serve_forever()


if __name__ == "__main__":
    port, root, token, milliseconds, *buckets = sys.argv[1:]
    main(int(port), Path(root), token, float(milliseconds) / 1000, buckets)
