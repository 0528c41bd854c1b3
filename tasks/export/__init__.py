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
from pathlib import Path
from typing import Any

from tasks.checkpoint.bundle_reader import TensorBundle
from tasks.checkpoint.catalogue import fetch_recorded_checkpoint
from tasks.checkpoint.object_graph import (
    classify_tensors,
    read_object_graph,
    variables_below,
    variables_by_path,
)
from tasks.definition import Mode, ModelDefinition
from tasks.errors import CheckpointMismatch, OutputExists
from tasks.export.ledger import Ledger
from tasks.export.mapping import map_variables
from tasks.export.saving import save_model
from tasks.export.warm_up import write_warm_up
from tasks.files import digest_tree, write_atomically, writing_to
from tasks.networks import draw_network, is_random_state, known_by_own_names, weights_by_name
from tasks.records import Checkpoint, ExportedModel, WeightsKind
from tasks.registry import load_definition
from tasks.requests import ExportRequest

__all__ = ["export_model"]

logger = logging.getLogger(__name__)

# Where the trainer keeps the two kinds of weights in its `tf.train.Checkpoint`.
_SUBTREE: Mapping[WeightsKind, str] = {"raw": "model", "average": "average"}


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
        CheckpointCorrupt: The checkpoint is not whole.
        CheckpointMismatch: It is of another model, or a served variable is not in it.
        DiskFull: No space for the SavedModel.
    """
    definition, out = load_definition(request.model), Path(request.out)
    _demand_absent(out)
    weights = request.weights or definition.weights
    started = time.monotonic()
    with writing_to(out), tempfile.TemporaryDirectory() as scratch:
        prefix, checkpoint = fetch_recorded_checkpoint(request.checkpoint, request.model, Path(scratch))
        logger.info("exporting %s: step %d, %s weights", request.model, checkpoint.step, weights)
        partial = _fresh_neighbour(out)
        try:
            ledger = _draw_and_save(definition, prefix, weights, partial)
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


def _draw_and_save(definition: ModelDefinition, prefix: Path, weights: WeightsKind, folder: Path) -> Ledger:
    bundle = TensorBundle(prefix)
    network = draw_network(definition, Mode.SERVE)
    variables = weights_by_name(network)
    try:
        ledger = _map(definition, bundle, network, variables, weights)
    except CheckpointMismatch as err:
        raise CheckpointMismatch(f"{prefix}: {err}") from err
    for source in ledger.served:
        variables[source.variable].assign(bundle.read_array(source.key))
    save_model(definition, network, variables, folder)
    write_warm_up(definition, folder)
    return ledger


def _map(
    definition: ModelDefinition,
    bundle: TensorBundle,
    network: Any,
    variables: Mapping[str, Any],
    weights: WeightsKind,
) -> Ledger:
    graph = read_object_graph(bundle)
    below = variables_below if known_by_own_names(network) else variables_by_path
    keys = below(graph, _SUBTREE[weights])
    if not keys:
        raise CheckpointMismatch(
            f"expected {weights} weights under {_SUBTREE[weights]!r} in the checkpoint, got none."
            " Serve the other weights, or train with a moving average."
        )
    roles = classify_tensors(bundle.entries, graph)
    saved = {name: key for name, key in keys.items() if not is_random_state(name)}
    return map_variables(variables, saved, roles, bundle.entries, definition.training_only)


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
