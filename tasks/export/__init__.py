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
import time
from pathlib import Path

from tasks.checkpoint.source import CheckpointSource
from tasks.definition import ModelDefinition
from tasks.errors import OutputExists
from tasks.export.contract import check_answers
from tasks.export.drawing import draw_graph
from tasks.export.drawn import DrawnGraph
from tasks.export.ledger import Ledger, note_non_finite, note_saved_keys
from tasks.export.mapping import Wanted, map_checkpoint
from tasks.export.moving import write_saved_model
from tasks.export.origin import open_origin
from tasks.export.partial_folder import partial_folder
from tasks.export.warm_up import write_warm_up
from tasks.files import digest_tree, write_atomically, writing_to
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
        with partial_folder(out) as partial:
            ledger = _draw_and_move(definition, source, weights, partial, request.allow_non_finite)
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


def _draw_and_move(
    definition: ModelDefinition,
    source: CheckpointSource,
    weights: WeightsKind,
    folder: Path,
    allow_non_finite: bool,
) -> Ledger:
    drawn = draw_graph(definition)
    ledger = map_checkpoint(_wanted(definition, drawn, weights), source)
    ledger = note_saved_keys(ledger, {variable.name: variable.key for variable in drawn.variables})
    # After the weights: a network that is not the checkpoint's is told by these first.
    check_answers(definition, drawn.meta_graph)
    non_finite = write_saved_model(drawn, ledger, source, folder)
    ledger = note_non_finite(ledger, non_finite, allowed=allow_non_finite)
    write_warm_up(definition, folder)
    return ledger


def _wanted(definition: ModelDefinition, drawn: DrawnGraph, weights: WeightsKind) -> Wanted:
    return Wanted(
        variables=[variable for variable in drawn.variables if variable.value is None],
        unreached=drawn.unreached,
        weights=weights,
        known_by=drawn.known_by,
        structure_places=drawn.structure_places,
        saved_places=drawn.saved_places,
        renames=definition.renames,
        training_only=definition.training_only,
        roots=definition.checkpoint_roots,
    )


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
