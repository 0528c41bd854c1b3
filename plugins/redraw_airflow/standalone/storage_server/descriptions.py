"""Buckets and objects in the words of the API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from redraw_airflow.standalone.storage_server.objects import ObjectRow


def describe_bucket(name: str) -> dict[str, str]:
    """A bucket as the API writes it."""
    return {"kind": "storage#bucket", "id": name, "name": name, "location": "LOCAL"}


def describe_object(row: ObjectRow) -> dict[str, Any]:
    """An object as the API writes it."""
    created = datetime.fromtimestamp(row.created, UTC).isoformat(timespec="milliseconds")
    return {
        "kind": "storage#object",
        "id": f"{row.bucket}/{row.name}/{row.generation}",
        "name": row.name,
        "bucket": row.bucket,
        "generation": str(row.generation),
        "metageneration": "1",
        "size": str(row.size),
        "crc32c": row.crc32c,
        "storageClass": "STANDARD",
        "timeCreated": created.replace("+00:00", "Z"),
        "updated": created.replace("+00:00", "Z"),
        **row.properties,
    }
