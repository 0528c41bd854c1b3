"""Put the weights under a drawn graph: byte ranges from the checkpoint, straight into the SavedModel."""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from tensorflow.core.protobuf import fingerprint_pb2, saved_model_pb2

from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.compat.tensorflow import fingerprint
from redraw.export.graph.drawn import DrawnGraph
from redraw.export.weights.ledger import Ledger
from redraw.storage.files import Checksums, writing_to

logger = logging.getLogger(__name__)

_SCHEMA_VERSION = 1


class MovableTensors(Protocol):
    """What is asked of a checkpoint here."""

    def expect(self, keys: Iterable[str]) -> None:
        """Hear which of its tensors are moved next, and in which order."""

    def move(self, key: str, writer: BundleWriter, to_key: str) -> None:
        """Add one of its tensors to another bundle, checked on the way."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was learned while the values passed.

    Attributes:
        non_finite: Variable to its number of elements that are NaN or infinite, where it has some.
        digests: Path to checksums of the files that hold them.
    """

    non_finite: Mapping[str, int]
    digests: Mapping[Path, Checksums]


def write_saved_model(drawn: DrawnGraph, ledger: Ledger, source: MovableTensors, folder: Path) -> Written:
    """Write a SavedModel; the same arguments give the same bytes in every file.

    Nothing waits for the disk: anyone who reads the files later holds them to the digest in
    the export's record, and a torn file is one to export again.

    Args:
        drawn: The graph, with what it needs.
        ledger: Which tensor of the checkpoint goes under which variable.
        source: The checkpoint.
        folder: Where it goes; it exists.

    Returns:
        What is not finite in them, and digests.

    Raises:
        CheckpointCorrupt: A tensor differs from its checksum, or its file ends too early.
        DiskFull: There is no room.
    """
    started = time.monotonic()
    writer = _write_variables(drawn, ledger, source, folder / "variables" / "variables")
    with writing_to(folder):
        for name, path in sorted(drawn.assets.items()):
            target = folder / "assets" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        model = saved_model_pb2.SavedModel(
            saved_model_schema_version=_SCHEMA_VERSION, meta_graphs=[drawn.meta_graph]
        )
        (folder / "saved_model.pb").write_bytes(model.SerializeToString(deterministic=True))
        _write_fingerprint(folder)
    logger.info("wrote %d variables in %.1f s", len(drawn.variables), time.monotonic() - started)
    found = ((variable.name, writer.non_finite.get(variable.key)) for variable in drawn.variables)
    return Written(non_finite={name: count for name, count in found if count}, digests=writer.digests)


def _write_variables(drawn: DrawnGraph, ledger: Ledger, source: MovableTensors, prefix: Path) -> BundleWriter:
    keys = {served.variable: served.key for served in ledger.served}
    variables = sorted(drawn.variables, key=lambda variable: variable.key)
    source.expect(keys[variable.name] for variable in variables if variable.value is None)
    with BundleWriter(prefix, durable=False, digested=True) as writer:
        for variable in variables:
            if variable.value is None:
                source.move(keys[variable.name], writer, variable.key)
            else:
                writer.add_array(variable.key, np.asarray(variable.value))
        for key, text in sorted(drawn.texts.items()):
            writer.add_array(key, np.array(text, object))
    return writer


# The hashes are TensorFlow's own; the public tf.saved_model.experimental only reads them.


def _write_fingerprint(folder: Path) -> None:
    """Write a SavedModel's fingerprint, the same for the same files: TensorFlow puts a random UUID into it.

    Source:
        https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/core/protobuf/fingerprint.proto
    """
    made = fingerprint_pb2.FingerprintDef.FromString(fingerprint(folder))
    made.ClearField("uuid")
    hashes = hashlib.sha256(made.SerializeToString(deterministic=True)).digest()
    made.uuid = str(uuid.UUID(bytes=hashes[:16], version=4))
    (folder / "fingerprint.pb").write_bytes(made.SerializeToString(deterministic=True))
