"""What a server may find in a bucket at any moment."""

from __future__ import annotations

from redraw.publish.bucket.layout import Claim, read_claim, read_release
from redraw.storage.opening import open_storage

__all__ = ["demand_servable"]

_GRAPH = "saved_model.pb"


def demand_servable(place: str, model: str = "digits") -> None:
    """Demand that what a server could load is there to the last byte, and was claimed before."""
    storage = open_storage(place)
    objects = {item.name: item for item in storage.list(f"{model}/")}
    for version in {name.split("/")[1] for name in objects if name.split("/")[1].isdecimal()}:
        claim, release = (read(storage, model, int(version)) for read in (read_claim, read_release))
        assert isinstance(claim, Claim), f"{place}: version {version} has objects and no claim"
        folder = f"{model}/{version}/"
        if f"{folder}{_GRAPH}" not in objects:
            assert release is None or release.pruned, (
                f"{place}: version {version} is released without its graph"
            )
            continue
        for entry in claim.manifest:
            found = objects[folder + entry.name]
            assert (found.size, found.crc32c) == (entry.size, entry.crc32c), found
            assert release is None or release.generations[entry.name] == found.generation
        attachments = [] if release is None or release.pruned else [*release.attachments.values()]
        # A record that is there lists nothing that has yet to be sent.
        assert {entry.name for entry in attachments} <= set(objects), place
