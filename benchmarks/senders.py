"""Programs that send a folder to a bucket, to compare a push with: gsutil and curl."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from benchmarks.harness import BenchmarkFailed, Run, run_command
from benchmarks.workshop import ROOT, Workshop

__all__ = ["Gsutil", "run_curl", "run_curl_multipart"]

# It is in no lock, because only this benchmark uses it, in an environment of its own.
_GSUTIL = "gsutil==5.38"
_BOUNDARY = "redraw-bench-" + 32 * "0"
# Replaced for all hosts, because the workshop's server has no certificate and the other ways use none.
_SPEAKS_HTTPS_ONLY = (
    ("gcs_json_api.py", "self.http_base = 'https://'", "self.http_base = 'http://'"),
    ("gcs_json_media.py", "httplib2.HTTPSConnectionWithTimeout", "httplib2.HTTPConnectionWithTimeout"),
)


class Gsutil:
    """gsutil, installed once below `.redraw/` and changed to use http and the workshop's server.

    Args:
        workshop: The workshop of the server.

    Raises:
        BenchmarkFailed: gsutil cannot be installed.
    """

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        folder = ROOT / ".redraw" / "bench-gsutil"
        self._program = folder / "bin" / "gsutil"
        if not self._program.exists():
            _install(folder)
        host, _, port = workshop.settings.gcs_url.removeprefix("http://").partition(":")
        self._settings = workshop.folder / "boto.cfg"
        self._settings.write_text(
            f"[Credentials]\ngs_json_host = {host}\ngs_json_port = {port}\n"
            f"[GSUtil]\nstate_dir = {workshop.folder / 'gsutil'}\nsoftware_update_check_period = 0\n"
        )

    def send(self, folder: Path, place: str) -> Run:
        """Send the content of the folder with `gsutil -m cp -r`, a whole process."""
        return self._run("-q", "-m", "cp", "-r", *map(os.fspath, sorted(folder.iterdir())), f"{place}/")

    def start(self) -> Run:
        """Only start it, which every call includes."""
        return self._run("version")

    def _run(self, *arguments: str) -> Run:
        environment = self._workshop.environment | {"BOTO_CONFIG": os.fspath(self._settings)}
        return run_command([os.fspath(self._program), *arguments], environment=environment, folder=ROOT)


def run_curl(environment: Mapping[str, str], folder: Path, place: str, at_once: int, scratch: Path) -> Run:
    """Send a folder with several curls at once, each of which sends its share over one connection."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return _run_curls(environment, files, f"{place}?uploadType=media", at_once, scratch)


def run_curl_multipart(
    environment: Mapping[str, str], folder: Path, place: str, at_once: int, scratch: Path
) -> Run:
    """Send a folder in the form of a push, the only one in which the server checks preconditions.

    The requests' contents are written before the measured time.
    """
    contents = scratch / f"{folder.name}-multipart"
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    wrapped = {name: _wrap(path, contents / name) for name, path in files.items()}
    return _run_curls(
        environment,
        wrapped,
        f"{place}?uploadType=multipart&ifGenerationMatch=0",
        at_once,
        scratch,
        header=f"Content-Type: multipart/related; boundary={_BOUNDARY}",
    )


def _wrap(path: Path, content: Path) -> Path:
    if not content.exists():
        content.parent.mkdir(parents=True, exist_ok=True)
        with content.open("wb") as file:
            for kind, part in (("application/json", b"{}"), ("application/octet-stream", path.read_bytes())):
                file.write(f"--{_BOUNDARY}\r\nContent-Type: {kind}\r\n\r\n".encode() + part + b"\r\n")
            file.write(f"--{_BOUNDARY}--\r\n".encode())
    return content


def _run_curls(
    environment: Mapping[str, str],
    files: Mapping[str, Path],
    place: str,
    at_once: int,
    scratch: Path,
    header: str = "Content-Type: application/octet-stream",
) -> Run:
    """Send files under their names; `place` includes the query."""
    folder, _, query = place.partition("?")
    bucket, _, prefix = folder.removeprefix("gs://").partition("/")
    uploads = f"{environment['STORAGE_EMULATOR_HOST']}/upload/storage/v1/b/{bucket}/o?{query}&name="
    sections = [
        f'url = "{uploads}{quote(f"{prefix}/{name}", safe="")}"\nheader = "{header}"\n'
        f'upload-file = "{path}"\nrequest = "POST"\noutput = "/dev/null"\nsilent\nfail\n'
        for name, path in sorted(files.items())
    ]
    shares = [sections[number::at_once] for number in range(min(at_once, len(sections)))]
    for number, share in enumerate(shares):
        (scratch / f"curl-{number}").write_text("next\n".join(share))
    configs = " ".join(f"curl-{number}" for number in range(len(shares)))
    script = f'for config in {configs}; do curl --config "$config" & done; wait'
    return run_command(["sh", "-c", script], environment=environment, folder=scratch)


def _install(folder: Path) -> None:
    uv = os.fspath(Path(sys.executable).with_name("uv"))
    python = os.fspath(folder / "bin" / "python")
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, os.fspath(folder)],
        [uv, "pip", "install", "--quiet", "--python", python, _GSUTIL],
    ):
        process = subprocess.run(command, capture_output=True, text=True)
        if process.returncode:
            raise BenchmarkFailed(f"{_GSUTIL}: expected it to install, got: {process.stderr.strip()[-500:]}")
    for name, secure, plain in _SPEAKS_HTTPS_ONLY:
        (source,) = folder.glob(f"lib/*/site-packages/gslib/{name}")
        source.write_text(source.read_text().replace(secure, plain))
