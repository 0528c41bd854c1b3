"""The good exports that defects are planted in: the models that ship, trained once."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import redraw.export.export as exporter
from redraw.checkpoint.select import select_checkpoint
from redraw.definition import ModelDefinition
from redraw.definition.registry import load_definition
from redraw.export.export import Exporter
from redraw.records import Checkpoint, ExportedModel, TrainingRun, WeightsKind
from redraw.requests import CheckpointRequest, ExportRequest, TrainRequest
from redraw.train.train import train_model

__all__ = ["BASES", "Bases", "export_definition", "train_definition"]

# Each is trained as it ships: a good export has to keep the definition's thresholds.
BASES = ("mnist", "digits_graph", "text_classifier", "recommender")


class Bases:
    """Trains, selects and exports when it is first asked; all below one folder."""

    def __init__(self, folder: Path, run: Callable[[str], TrainingRun] | None = None) -> None:
        """Take a folder, and what finds a finished training run by model."""
        self.folder = folder
        self.run = run or functools.cache(self._run)
        self.export = functools.cache(self._export)
        self.checkpoint = functools.cache(self._checkpoint)

    def new_folder(self, name: str) -> Path:
        """A path below the folder that nothing uses."""
        return self.folder / f"{name}-{uuid.uuid4().hex[:8]}"

    def _run(self, model: str) -> TrainingRun:
        """The model's training run."""
        return train_model(TrainRequest(model=model, out=str(self.folder / "runs" / model)))

    def _checkpoint(self, model: str, step: int | None = None) -> Checkpoint:
        """Its last checkpoint, or that of a step."""
        request = CheckpointRequest(
            model=model,
            source=self.run(model),
            catalogue=str(self.folder / "catalogue"),
            step=step,
            latest=step is None,
        )
        return select_checkpoint(request)

    def _export(
        self, model: str, step: int | None = None, weights: WeightsKind | None = None
    ) -> ExportedModel:
        """A good export of that checkpoint."""
        definition = load_definition(model)
        return export_definition(definition, self.checkpoint(model, step), self.new_folder(model), weights)


def export_definition(
    definition: ModelDefinition,
    checkpoint: Checkpoint | str,
    out: Path,
    weights: WeightsKind | None = None,
    model: str | None = None,
) -> ExportedModel:
    """Run the export stage with a definition that stands in no package.

    Args:
        definition: Takes the place of the one that the model's name would find.
        checkpoint: What it is given.
        out: The folder of the export.
        weights: Which weights to serve; the definition's own by default.
        model: The name, where the checkpoint does not know it.

    Returns:
        The record.
    """
    name = checkpoint.model if isinstance(checkpoint, Checkpoint) else model
    assert name is not None
    request = ExportRequest(model=name, checkpoint=checkpoint, out=str(out), weights=weights)
    with pytest.MonkeyPatch.context() as patch:
        # The definition stands in no package that the name would find it in.
        found = SimpleNamespace(module=type(definition).__qualname__)
        patch.setattr(exporter, "find_model", lambda _: found)
        patch.setattr(exporter, "find_fitting", lambda *_: found)
        patch.setattr(exporter, "definition_for", lambda *_: definition)
        return _exporter(definition).export(request)


@functools.lru_cache(maxsize=4)
def _exporter(definition: ModelDefinition) -> Exporter:
    """What has drawn a definition, if it was exported just now."""
    return Exporter()


def train_definition(definition: ModelDefinition, model: str, folder: Path) -> Checkpoint:
    """Train a definition that stands in no package, and choose its last checkpoint.

    Args:
        definition: Takes the place of the one that the model's name would find.
        model: The name.
        folder: Where the run and the catalogue go.

    Returns:
        The checkpoint's record.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("redraw.train.train.load_definition", lambda _: definition)
        run = train_model(TrainRequest(model=model, out=str(folder / "run")))
    catalogue = str(folder / "catalogue")
    return select_checkpoint(CheckpointRequest(model=model, source=run, catalogue=catalogue, latest=True))
