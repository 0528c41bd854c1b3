from __future__ import annotations

import hashlib
from pathlib import Path

from model_signing import hashing, manifest

from redraw.compat.signing import sha256_digest


def test_sha256_digest_is_what_the_library_makes_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    made = hashing.Config().use_file_serialization(hashing_algorithm="sha256").hash(tmp_path)
    (item,) = made.resource_descriptors()
    digest = sha256_digest(hashlib.sha256(b"content").hexdigest())
    assert digest == item.digest
    form = manifest.SerializationType.from_args(
        {"method": "files", "hash_type": "sha256", "allow_symlinks": False}
    )
    ours = manifest.Manifest("x", [form.new_item("file", digest)], form)
    assert [one.digest for one in ours.resource_descriptors()] == [item.digest]
