"""Write a SavedModel of a drawn graph: copy byte ranges from the checkpoint into it."""

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
    """The part of a checkpoint's interface that is used here."""

    def expect(self, keys: Iterable[str]) -> None:
        """Announce the tensors that are moved next, in their order."""

    def move(self, key: str, writer: BundleWriter, to_key: str) -> None:
        """Check one of its tensors and add it to another bundle."""


@dataclass(frozen=True, kw_only=True)
class WrittenModel:
    """Facts about the values that were found while they were copied.

    Attributes:
        non_finite: Variable to its number of elements that are NaN or infinite, if it has some.
        digests: Path to checksums of the files that hold them.
    """

    non_finite: Mapping[str, int]
    digests: Mapping[Path, Checksums]


def write_saved_model(
    graph: DrawnGraph, ledger: Ledger, source: MovableTensors, folder: Path
) -> WrittenModel:
    """Write a SavedModel; the same arguments give the same bytes in every file.

    It does not wait for the disk: later readers check the files against the digest in the
    export's record, and a torn file means to export again.

    Args:
        graph: The drawn graph.
        ledger: Which tensor of the checkpoint is the value of which variable.
        source: The checkpoint.
        folder: The SavedModel's folder; it exists.

    Returns:
        The counts of non-finite values, and checksums.

    Raises:
        CheckpointCorrupt: A tensor differs from its checksum, or its file ends too early.
        DiskFull: There is no room.
    """
    started = time.monotonic()
    writer = _write_variables(graph, ledger, source, folder / "variables" / "variables")
    with writing_to(folder):
        for name, path in sorted(graph.assets.items()):
            target = folder / "assets" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        model = saved_model_pb2.SavedModel(
            saved_model_schema_version=_SCHEMA_VERSION, meta_graphs=[graph.meta_graph]
        )
        (folder / "saved_model.pb").write_bytes(model.SerializeToString(deterministic=True))
        _write_fingerprint(folder)
    logger.info("wrote %d variables in %.1f s", len(graph.variables), time.monotonic() - started)
    counts = ((variable.name, writer.non_finite.get(variable.key)) for variable in graph.variables)
    return WrittenModel(non_finite={name: count for name, count in counts if count}, digests=writer.digests)


def _write_variables(graph: DrawnGraph, ledger: Ledger, source: MovableTensors, prefix: Path) -> BundleWriter:
    keys = {served.variable: served.key for served in ledger.served}
    variables = sorted(graph.variables, key=lambda variable: variable.key)
    source.expect(keys[variable.name] for variable in variables if variable.value is None)
    with BundleWriter(prefix, durable=False, digested=True) as writer:
        for variable in variables:
            if variable.value is None:
                source.move(keys[variable.name], writer, variable.key)
            else:
                writer.add_array(variable.key, np.asarray(variable.value))
        for key, text in sorted(graph.texts.items()):
            writer.add_array(key, np.array(text, object))
    return writer


# The hashes are TensorFlow's own; the public tf.saved_model.experimental only reads them.


def _write_fingerprint(folder: Path) -> None:
    """Write a SavedModel's fingerprint with a UUID from its content; TensorFlow's is random.

    Source:
        https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/core/protobuf/fingerprint.proto
    """
    made = fingerprint_pb2.FingerprintDef.FromString(fingerprint(folder))
    made.ClearField("uuid")
    hashes = hashlib.sha256(made.SerializeToString(deterministic=True)).digest()
    made.uuid = str(uuid.UUID(bytes=hashes[:16], version=4))
    (folder / "fingerprint.pb").write_bytes(made.SerializeToString(deterministic=True))
