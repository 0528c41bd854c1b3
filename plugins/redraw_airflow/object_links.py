"""Where an object of a bucket can be looked at: Google's console, or the local server in its place."""

from __future__ import annotations

import os
from urllib.parse import quote

__all__ = ["folder_url", "object_url"]

_CONSOLE = "https://console.cloud.google.com/storage/browser"


def object_url(uri: str) -> str:
    """The URL of an object, `gs://bucket/name`; nothing for one that is in no bucket."""
    return _url(uri, folder=False)


def folder_url(uri: str) -> str:
    """The URL of all objects below `gs://bucket/prefix`; nothing for a folder that is in no bucket."""
    return _url(uri, folder=True)


def _url(uri: str, *, folder: bool) -> str:
    if not uri.startswith("gs://"):
        return ""
    bucket, _, name = uri.removeprefix("gs://").rstrip("/").partition("/")
    bucket = quote(bucket, safe="")
    if emulator := os.environ.get("STORAGE_EMULATOR_HOST"):
        objects = f"{emulator.rstrip('/')}/storage/v1/b/{bucket}/o"
        name = quote(f"{name}/" if folder else name, safe="")
        return f"{objects}?prefix={name}" if folder else f"{objects}/{name}?alt=media"
    return f"{_CONSOLE}/{bucket}/{quote(name)}" if folder else f"{_CONSOLE}/_details/{bucket}/{quote(name)}"
