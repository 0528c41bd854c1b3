"""Redraw the graph for inference, restore a checkpoint under it, write a SavedModel.

<out>/                saved_model.pb, variables/, assets/, assets.extra/
<out>.ledger.json     the restore ledger
<out>.json            the export's record
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.checkpoint.finite import FiniteScan
from tasks.checkpoint.source import CheckpointSource
from tasks.definition import Mode, ModelDefinition
from tasks.errors import OutputExists
from tasks.export.ledger import Ledger, note_non_finite
from tasks.export.mapping import Wanted, map_checkpoint
from tasks.export.origin import open_origin
from tasks.export.places import find_places
from tasks.export.saving import save_model
from tasks.export.warm_up import write_warm_up
from tasks.files import digest_tree, write_atomically, writing_to
from tasks.networks import draw_network, known_by_own_names, weights_by_name
from tasks.records import Checkpoint, ExportedModel, WeightsKind
from tasks.registry import load_definition
from tasks.requests import ExportRequest

__all__ = ["export_model"]

logger = logging.getLogger(__name__)


def export_model(request: ExportRequest) -> ExportedModel:
    """Export a checkpoint as a SavedModel with every signature of its definition.

    The folder appears under its name when it is complete, and not before.

    Args:
        request: The model, the checkpoint, the output folder, and which weights to serve.

    Returns:
        The export's record, also in `<out>.json`.

    Raises:
        UnknownModel: No definition of that name.
        InvalidDefinition: The definition cannot be drawn.
        OutputExists: The output folder holds something.
        CheckpointNotFound: There is no checkpoint.
        CheckpointCorrupt: The checkpoint is not whole.
        CheckpointMismatch: It is of another model, or a served variable is not in it.
        NonFiniteWeights: A served variable holds NaN or infinity, which was not allowed.
        DiskFull: No space for the SavedModel.
    """
    definition, out = load_definition(request.model), Path(request.out)
    _demand_absent(out)
    weights = request.weights or definition.weights
    started = time.monotonic()
    with writing_to(out):
        source, checkpoint = open_origin(request)
        logger.info("exporting %s: step %d, %s weights", request.model, checkpoint.step, weights)
        partial = _fresh_neighbour(out)
        try:
            ledger = _draw_and_save(definition, source, weights, request, partial)
            exported = _record(definition, checkpoint, weights, ledger, partial, out)
            _put_in_place(exported, ledger, partial, out)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    logger.info(
        "exported %s: step %d, %d bytes in %.1f s, digest %.12s",
        request.model,
        checkpoint.step,
        exported.size_bytes,
        time.monotonic() - started,
        exported.digest,
    )
    return exported


def _demand_absent(out: Path) -> None:
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise OutputExists(
            f"{out}: expected an absent or empty folder, got one that holds something."
            " Choose another --out, or remove it."
        )


def _fresh_neighbour(out: Path) -> Path:
    out.parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))


@dataclass(frozen=True, kw_only=True)
class _Declared:
    """A variable of the drawn network, as the mapping wants it."""

    name: str
    dtype: str
    shape: tuple[int, ...]


def _draw_and_save(
    definition: ModelDefinition,
    source: CheckpointSource,
    weights: WeightsKind,
    request: ExportRequest,
    folder: Path,
) -> Ledger:
    network = draw_network(definition, Mode.SERVE)
    variables = weights_by_name(network)
    ledger = map_checkpoint(_wanted(definition, network, variables, weights), source)
    counts = {}
    for served in ledger.served:
        value = source.read_array(served.key)
        counts[served.variable] = _count_non_finite(served.dtype, value)
        variables[served.variable].assign(value)
    ledger = note_non_finite(ledger, counts, allowed=request.allow_non_finite)
    save_model(definition, network, variables, folder)
    write_warm_up(definition, folder)
    return ledger


def _wanted(
    definition: ModelDefinition, network: Any, variables: Mapping[str, Any], weights: WeightsKind
) -> Wanted:
    places = find_places(network, variables)
    return Wanted(
        variables=[
            _Declared(name=name, dtype=variable.dtype.name, shape=tuple(variable.shape))
            for name, variable in sorted(variables.items())
        ],
        weights=weights,
        known_by="name" if known_by_own_names(network) else "path",
        structure_places=places.by_structure,
        saved_places=places.in_keras_files,
        renames=definition.renames,
        training_only=definition.training_only,
        roots=definition.checkpoint_roots,
    )


def _count_non_finite(dtype: str, value: np.ndarray) -> int:
    if not FiniteScan.can_scan(dtype):
        return 0
    scan = FiniteScan(dtype)
    scan.update(value.tobytes())
    return scan.count


def _record(
    definition: ModelDefinition,
    checkpoint: Checkpoint,
    weights: WeightsKind,
    ledger: Ledger,
    folder: Path,
    out: Path,
) -> ExportedModel:
    digest, size = digest_tree(folder)
    return ExportedModel(
        model=checkpoint.model,
        uri=str(out.absolute()),
        digest=digest,
        size_bytes=size,
        signatures=definition.signatures,
        checkpoint=checkpoint,
        weights=weights,
        ledger=ledger.summary(),
        ledger_uri=f"{out.absolute()}.ledger.json",
    )


def _put_in_place(exported: ExportedModel, ledger: Ledger, partial: Path, out: Path) -> None:
    """The records first: a folder without them would look like an export that nothing explains."""
    write_atomically(Path(exported.ledger_uri), ledger.to_bytes())
    write_atomically(Path(f"{out.absolute()}.json"), json.dumps(exported.to_json(), indent=2).encode())
    partial.chmod(0o777 & ~_umask())
    partial.rename(out)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
