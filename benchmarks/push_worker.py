"""The measured process: `python push_worker.py WAY FOLDER PLACE`; it prints figures as JSON.

It sends a folder to a bucket at STORAGE_EMULATOR_HOST. Imports are not counted in the time, but in the
memory.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[0] = os.fspath(Path(__file__).parents[1])

Send = Callable[[], object]


def main() -> None:
    """Send it once and print the figures."""
    way, folder, place = sys.argv[1:]
    send = WAYS[way](Path(folder), place)
    read_before, start = _count("io", "rchar"), time.perf_counter()
    send()
    figures: dict[str, Any] = {
        "seconds": time.perf_counter() - start,
        "read_bytes": _count("io", "rchar") - read_before,
        "peak_bytes": _count("status", "VmHWM") * 1024,
    }
    sys.stdout.write(json.dumps(figures) + "\n")


def prepare_redraw(folder: Path, place: str) -> Send:
    """Prepare the whole stage like a user's: claim, objects, listing, record."""
    import redraw.storage.gcs  # noqa: F401 - the client library, which the push imports when it needs it
    from redraw.publish.push.push import push_model
    from redraw.requests import PushRequest

    report = f"{folder}.report.json"
    request = PushRequest(model="digits", saved_model=str(folder), report=report, bucket=place)
    return lambda: push_model(request)


def prepare_gcsfs(folder: Path, place: str) -> Send:
    """Prepare a call of fsspec."""
    # Otherwise it asks Google by gRPC for a kind of bucket that the server does not have.
    os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
    import gcsfs

    files = gcsfs.GCSFileSystem(token="anon", endpoint_url=os.environ["STORAGE_EMULATOR_HOST"])  # noqa: S106 - none
    return lambda: files.put(f"{folder}/", f"{place}/", recursive=True)


def prepare_processes(folder: Path, place: str) -> Send:
    """Prepare the client library's transfer manager, with its default kind of workers."""
    from google.cloud.storage import transfer_manager

    return _transfer(folder, place, transfer_manager.PROCESS)


def prepare_threads(folder: Path, place: str) -> Send:
    """Prepare the client library's transfer manager, with threads."""
    from google.cloud.storage import transfer_manager

    return _transfer(folder, place, transfer_manager.THREAD)


def prepare_one_by_one(folder: Path, place: str) -> Send:
    """Prepare the client library's uploads, one file after the other."""
    bucket, prefix = _bucket(place)

    def send() -> None:
        for name in _names(folder):
            bucket.blob(f"{prefix}/{name}").upload_from_filename(str(folder / name))

    return send


def _transfer(folder: Path, place: str, worker_type: str) -> Send:
    from google.cloud.storage import transfer_manager

    bucket, prefix = _bucket(place)

    def send() -> None:
        results = transfer_manager.upload_many_from_filenames(
            bucket,
            _names(folder),
            source_directory=str(folder),
            blob_name_prefix=f"{prefix}/",
            worker_type=worker_type,
            raise_exception=True,
        )
        assert len(results) == len(_names(folder))

    return send


def _bucket(place: str) -> tuple[Any, str]:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    name, _, prefix = place.removeprefix("gs://").partition("/")
    return storage.Client(project="redraw", credentials=AnonymousCredentials()).bucket(name), prefix


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _count(source: str, name: str) -> int:
    """A counter of this process in /proc; its children's are not included."""
    lines = Path(f"/proc/self/{source}").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


WAYS: dict[str, Callable[[Path, str], Send]] = {
    "redraw": prepare_redraw,
    "gcsfs": prepare_gcsfs,
    "processes": prepare_processes,
    "threads": prepare_threads,
    "one by one": prepare_one_by_one,
}

if __name__ == "__main__":
    main()
