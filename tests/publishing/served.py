"""What a server may find in a bucket at any moment."""

from __future__ import annotations

from tasks.published import read_claim
from tasks.storage import open_storage

__all__ = ["demand_servable"]


def demand_servable(place: str, model: str = "digits") -> None:
    """Demand that what a server could load is there to the last byte, and was claimed before."""
    storage = open_storage(place)
    objects = {item.name: item for item in storage.list(f"{model}/")}
    versions = {name.split("/")[1] for name in objects if name.split("/")[1].isdecimal()}
    released = {name for name in objects if name.startswith(f"{model}/releases/") and "claim" not in name}
    for version in versions:
        claim = read_claim(storage, model, int(version))
        assert claim is not None, f"{place}: version {version} has objects and no claim"
        folder = f"{model}/{version}"
        if f"{folder}/saved_model.pb" not in objects:
            assert f"{model}/releases/{version}.json" not in released
            continue
        for entry in claim.manifest:
            found = objects[f"{folder}/{entry.name}"]
            assert (found.size, found.crc32c) == (entry.size, entry.crc32c), found
