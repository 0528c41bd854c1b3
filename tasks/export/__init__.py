"""Redraw the graph for inference, move a checkpoint's weights under it, write a SavedModel.

The graph and the weights part ways: the graph is drawn with variables that are declared
and never allocated, each is given its source in the checkpoint, and the bytes of just
those tensors are copied from file to file. So an export costs a second or two more than
a copy of what it serves, and no memory for it.

<out>/                saved_model.pb, variables/, assets/, assets.extra/
<out>.ledger.json     the restore ledger
<out>.json            the export's record
"""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf

from tasks.checkpoint.catalogue import fetch_recorded_checkpoint
from tasks.checkpoint.object_graph import classify_tensors, variables_below, variables_by_path
from tasks.definition import ModelDefinition
from tasks.errors import CheckpointMismatch, OutputExists
from tasks.export.bundle_source import BundleSource
from tasks.export.contract import check_answers
from tasks.export.drawing import draw_graph
from tasks.export.drawn import DrawnGraph
from tasks.export.ledger import Dropped, Ledger
from tasks.export.mapping import map_variables
from tasks.export.moving import write_saved_model
from tasks.export.partial_folder import partial_folder
from tasks.export.warm_up import write_warm_up
from tasks.files import digest_tree, write_atomically, writing_to
from tasks.networks import is_random_state
from tasks.records import Checkpoint, ExportedModel, WeightsKind
from tasks.registry import load_definition
from tasks.requests import ExportRequest

__all__ = ["export_model"]

logger = logging.getLogger(__name__)

# Where the trainer keeps the two kinds of weights in its `tf.train.Checkpoint`.
_SUBTREE: Mapping[WeightsKind, str] = {"raw": "model", "average": "average"}

_UNREACHED = "reached by no signature"


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
        with partial_folder(out) as partial:
            ledger = _draw_and_move(definition, prefix, weights, partial)
            exported = _record(definition, checkpoint, weights, ledger, partial, out)
            _put_in_place(exported, ledger, partial, out)
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


def _draw_and_move(definition: ModelDefinition, prefix: Path, weights: WeightsKind, folder: Path) -> Ledger:
    source = BundleSource(prefix)
    drawn = draw_graph(definition)
    try:
        ledger = _map(definition, source, drawn, weights)
    except CheckpointMismatch as err:
        raise CheckpointMismatch(f"{prefix}: {err}") from err
    # After the weights: a network that is not the checkpoint's is told by these first.
    check_answers(definition, drawn.meta_graph)
    write_saved_model(drawn, ledger, source, folder)
    write_warm_up(definition, folder)
    return ledger


def _map(
    definition: ModelDefinition, source: BundleSource, drawn: DrawnGraph, weights: WeightsKind
) -> Ledger:
    below = variables_below if drawn.known_by == "name" else variables_by_path
    keys = below(source.graph, _SUBTREE[weights])
    if not keys:
        raise CheckpointMismatch(
            f"expected {weights} weights under {_SUBTREE[weights]!r} in the checkpoint, got none."
            " Serve the other weights, or train with a moving average."
        )
    roles = classify_tensors(source.entries, source.graph)
    saved = {name: key for name, key in keys.items() if not is_random_state(name)}
    idle = [variable for variable in drawn.unreached if variable.name in saved]
    wanted = [variable for variable in drawn.variables if variable.value is None]
    specs = {v.name: tf.TensorSpec(v.shape, v.dtype) for v in (*wanted, *idle)}
    ledger = map_variables(specs, saved, roles, source.entries, definition.training_only)
    return _without(ledger, {variable.name for variable in idle})


def _without(ledger: Ledger, idle: set[str]) -> Ledger:
    """The ledger with what no signature reaches among the dropped tensors."""
    served = tuple(entry for entry in ledger.served if entry.variable not in idle)
    needed = {entry.key for entry in served}
    keys = {entry.key for entry in ledger.served} - needed
    dropped = (*ledger.dropped, *(Dropped(key=key, rule=_UNREACHED) for key in keys))
    return Ledger(served=served, dropped=tuple(sorted(dropped, key=lambda entry: entry.key)))


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
    partial.rename(out)
