"""Export one checkpoint as a SavedModel."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator

from redraw.compat.tensorflow import hide_accelerators
from redraw.definition import ModelDefinition
from redraw.definition.registry import definition_for, find_fitting, find_model, load_definition
from redraw.errors import CheckpointMismatch
from redraw.export.destination import open_destination, partial_folder
from redraw.export.prepared import PreparedModel
from redraw.export.source import open_origin, refuse_code
from redraw.export.weights.ledger import Ledger
from redraw.records import Checkpoint, ExportedModel, MadeBy, WeightsKind
from redraw.requests import ExportRequest
from redraw.storage.files import TreeScan, scan_tree, writing_to
from redraw.uri import Uri

logger = logging.getLogger(__name__)


def export_model(request: ExportRequest) -> ExportedModel:
    """Export a checkpoint as a SavedModel with every signature of its definition.

    The folder appears under its name only when it is complete.

    Args:
        request: The model, the checkpoint, the output folder, and which weights to serve.

    Returns:
        The export's record, also in `<out>.json`.

    Raises:
        UnknownModel: No definition of that name.
        InvalidDefinition: The definition cannot be drawn.
        OutputExists: The output folder is not empty.
        CheckpointNotFound: There is no checkpoint.
        CheckpointCorrupt: The checkpoint is damaged.
        CheckpointMismatch: It is of another model, or a served variable is not in it.
        NonFiniteWeights: A served variable has NaN or infinity, which was not allowed.
        DiskFull: No space for the SavedModel.
    """
    return Exporter().export(request)


class Exporter:
    """Exports any number of checkpoints and draws each graph only once."""

    def __init__(self) -> None:
        """Hide accelerators, so that the graph does not depend on this machine."""
        hide_accelerators()
        self._models: dict[str, PreparedModel] = {}

    def export(self, request: ExportRequest) -> ExportedModel:
        """Export one checkpoint.

        Raises:
            RedrawError: It cannot be exported, for one of the reasons that `export_model` lists.
        """
        find_model(request.model)
        started = time.monotonic()
        with open_destination(request.out) as place, writing_to(place.folder):
            source, checkpoint = open_origin(request)
            model = self._prepared(request.model, checkpoint.trained_at)
            # The definition's module may have registered the classes that an archive names.
            refuse_code(source)
            weights = request.weights or model.definition.weights
            logger.info("exporting %s: step %d, %s weights", request.model, checkpoint.step, weights)
            with partial_folder(place.folder) as partial:
                with _name_definition_in_errors(model.definition, checkpoint):
                    ledger, digests = model.write(
                        source, weights, partial, allow_non_finite=request.allow_non_finite
                    )
                scan = scan_tree(partial, digests)
                exported = _record(model, checkpoint, weights, ledger, scan, place.uri)
                place.put(partial, exported, ledger, scan.files)
        logger.info(
            "exported %s: step %d, %d bytes in %.1f s, digest %.12s",
            request.model,
            checkpoint.step,
            exported.size_bytes,
            time.monotonic() - started,
            exported.digest,
        )
        return exported

    def maker(self, model: str, trained_at: str | None = None) -> MadeBy:
        """Describe the code that exports a model now.

        Args:
            model: The definition's name.
            trained_at: When the checkpoint was trained, for a model that has had other definitions.

        Raises:
            UnknownModel: No definition of that name.
            InvalidDefinition: It cannot be loaded.
        """
        return self._prepared(model, trained_at).made_now()

    def _prepared(self, model: str, trained_at: str | None = None) -> PreparedModel:
        entry = find_model(model) if trained_at is None else find_fitting(model, trained_at)
        if entry.module not in self._models:
            definition = load_definition(model) if trained_at is None else definition_for(model, trained_at)
            self._models[entry.module] = PreparedModel(definition)
        return self._models[entry.module]


@contextlib.contextmanager
def _name_definition_in_errors(definition: ModelDefinition, checkpoint: Checkpoint) -> Iterator[None]:
    """Add to an error which of a model's several definitions the checkpoint does not match."""
    try:
        yield
    except CheckpointMismatch as err:
        if not definition.applies_to.bounded:
            raise
        raise CheckpointMismatch(
            f"{err} The definition is {type(definition).__module__} (applies_to: {definition.applies_to}),"
            f" because the checkpoint was trained at {checkpoint.trained_at}."
        ) from err


def _record(
    model: PreparedModel,
    checkpoint: Checkpoint,
    weights: WeightsKind,
    ledger: Ledger,
    scan: TreeScan,
    uri: Uri,
) -> ExportedModel:
    return ExportedModel(
        model=checkpoint.model,
        uri=uri,
        digest=scan.digest,
        size_bytes=scan.size_bytes,
        signatures=model.definition.signatures,
        checkpoint=checkpoint,
        weights=weights,
        ledger=ledger.summary(),
        ledger_uri=uri.with_ending(".ledger.json"),
        made_by=model.made_now(),
    )
