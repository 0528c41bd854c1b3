"""A file by its name and checksums: what a manifest and a record say of one; standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from redraw.records.forms import Count, Crc32c, Digest, ObjectName

# Where verifiers of OpenSSF model-signing look for a model's signature; it is none of the model's files.
SIGNATURE_FILE = "model.sig"


@dataclass(frozen=True, kw_only=True)
class ListedFile:
    """One file of a tree, as it was read once.

    Attributes:
        name: Relative to the tree's root, with forward slashes.
        size: In bytes.
        crc32c: Its checksum as Cloud Storage keeps it, an unsigned 32-bit number.
        sha256: Of its content, in hex.
    """

    name: ObjectName
    size: Count
    crc32c: Crc32c
    sha256: Digest
