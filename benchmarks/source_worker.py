"""The measured process: `python source_worker.py WAY CHECKPOINT`; it prints figures as JSON.

WAYs:

- verify: read every tensor and compare its checksum;
- move: write the weights, or all tensors if it cannot find the weights, to another checkpoint;
- move-one-by-one: the same, without announcing the next tensors.

Time and memory do not include imports.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.path[0] = os.fspath(Path(__file__).parents[1])

import requests  # noqa: E402 - needs the path above, like the imports below

from redraw.checkpoint.bundle.writer import BundleWriter  # noqa: E402
from redraw.checkpoint.formats.source import CheckpointSource, open_checkpoint  # noqa: E402
from redraw.checkpoint.objects.roles import Role, classify_tensors  # noqa: E402


class Requests:
    """Counts the bytes that are read from a bucket."""

    def __init__(self) -> None:
        """Count from now on."""
        self.read_bytes = 0
        self._send = requests.Session.send
        requests.Session.send = lambda *arguments, **more: self._counted(*arguments, **more)

    def _counted(self, *arguments: Any, **more: Any) -> requests.Response:
        answer = self._send(*arguments, **more)
        self.read_bytes += int(answer.headers.get("Content-Length") or len(answer.content))
        return answer


def main() -> None:
    """Run one way and print its figures."""
    way, uri = sys.argv[1:]
    import_reader(uri)
    requests_sent = Requests()
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before, start = memory("VmRSS"), time.perf_counter()
    source = open_checkpoint(uri)
    if way == "verify":
        source.verify()
        keys = list(source.entries)
    else:
        keys = move(source, hinted=way == "move")
    sizes = [source.entries[key].size for key in keys]
    figures = {
        "seconds": time.perf_counter() - start,
        "peak_bytes": memory("VmHWM") - before,
        "total_peak_bytes": memory("VmHWM"),
        "read_bytes": requests_sent.read_bytes,
        "served_bytes": sum(sizes),
        "largest_bytes": max(sizes),
        "tensorflow": "tensorflow" in sys.modules,
    }
    sys.stdout.write(json.dumps(figures) + "\n")


def import_reader(uri: str) -> None:
    """Import the modules that read the checkpoint's format or place."""
    if uri.startswith("gs://"):
        import redraw.storage.gcs  # noqa: F401
    elif uri.endswith((".keras", ".h5")):
        import redraw.checkpoint.formats.archive  # noqa: F401
    elif Path(uri).is_file():
        import tensorflow  # noqa: F401, ICN001


def move(source: CheckpointSource, *, hinted: bool) -> list[str]:
    """Write the served tensors; returns their keys."""
    roles = classify_tensors(source.entries, source.graph)
    keys = [key for key, role in roles.items() if role is Role.MODEL_WEIGHT] or list(source.entries)
    with (
        tempfile.TemporaryDirectory() as folder,
        BundleWriter(Path(folder, "variables"), durable=False, digested=True) as writer,
    ):
        if hinted:
            source.expect(keys)
        for key in keys:
            source.move(key, writer, key)
    return keys


def memory(name: str) -> int:
    """A figure of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main()
