"""Write `fingerprint.pb`, by which TensorFlow tells SavedModels apart."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

from tensorflow.core.protobuf import fingerprint_pb2

# The hashes are TensorFlow's own; the public tf.saved_model.experimental only reads them.
from tensorflow.python.saved_model.pywrap_saved_model import fingerprinting

__all__ = ["write_fingerprint"]


def write_fingerprint(folder: Path) -> None:
    """Write a SavedModel's fingerprint, the same for the same files.

    TensorFlow puts a random UUID into it; here it is made of the hashes.

    Args:
        folder: The SavedModel, otherwise complete.

    Source:
        https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/core/protobuf/fingerprint.proto
    """
    fingerprint = fingerprint_pb2.FingerprintDef.FromString(fingerprinting.CreateFingerprintDef(str(folder)))
    fingerprint.ClearField("uuid")
    hashes = hashlib.sha256(fingerprint.SerializeToString(deterministic=True)).digest()
    fingerprint.uuid = str(uuid.UUID(bytes=hashes[:16], version=4))
    (folder / "fingerprint.pb").write_bytes(fingerprint.SerializeToString(deterministic=True))
