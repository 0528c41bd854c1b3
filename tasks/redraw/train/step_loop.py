"""The training loop: steps, then an evaluation, then a checkpoint, repeatedly."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from redraw.checkpoint.catalogue.store import fetch_checkpoint
from redraw.checkpoint.formats.source import open_checkpoint
from redraw.definition import ModelDefinition
from redraw.definition.user_code import batches_of, running_user_code
from redraw.errors import CheckpointMismatch, InvalidDefinition
from redraw.records import finite_metrics
from redraw.records.progress import measured_line, step_line
from redraw.runs.folder import RunFolder
from redraw.train.evaluate import Evaluator
from redraw.uri import Uri

logger = logging.getLogger(__name__)

_PROGRESS_SECONDS = 2.0


class StepLoop(ABC):
    """The training loop that all kinds of networks share."""

    _evaluate: Evaluator
    # Errors that mean the loss of another worker, and not a fault of the definition.
    _worker_errors: tuple[type[Exception], ...] = ()

    def __init__(self, definition: ModelDefinition, folder: RunFolder) -> None:
        self._definition, self._folder = definition, folder

    @property
    @abstractmethod
    def step(self) -> int:
        """The last step trained."""

    @abstractmethod
    def restore(self, warm_start: Uri | None) -> int:
        """Take the weights of the folder's last checkpoint, or else of the warm start.

        Args:
            warm_start: A checkpoint's URI; only its weights are used, not its step and
                optimizer state.

        Returns:
            The step to resume from.

        Raises:
            CheckpointMismatch: The checkpoint is of another network.
        """

    def train_until(self, steps: int) -> None:
        """Train up to a step, with an evaluation and a checkpoint at each interval and at the end."""
        every = self._definition.training.evaluate_every
        batches = self._batches() if self.step < steps else iter(())
        while self.step < steps:
            goal = min(steps, (self.step // every + 1) * every)
            with running_user_code(
                f"{self._definition_name()}, after step {self.step},", *self._worker_errors
            ):
                loss = self._train_to(goal, steps, batches)
            self._evaluate_and_save(loss)

    def close(self) -> None:
        """Close the event files."""
        self._evaluate.close()

    @abstractmethod
    def _train_step(self, features: Any, labels: Any) -> Any:
        """Train on one batch and return its loss."""

    @abstractmethod
    def _measure(self) -> Mapping[str, float]:
        """The metrics of the raw weights, and those of averaged weights under `average_<name>`."""

    @abstractmethod
    def _save(self, step: int) -> None:
        """Save a checkpoint."""

    def _definition_name(self) -> str:
        return type(self._definition).__module__.rpartition(".")[2]

    def _fetch_warm_start(self, uri: Uri, scratch: Path) -> Path:
        """The local prefix of the checkpoint with this model's initial weights."""
        prefix, record = fetch_checkpoint(uri, scratch)
        if record is not None and record.model != self._definition_name():
            raise CheckpointMismatch(
                f"warm start {uri}: expected a checkpoint of {self._definition_name()!r}, got one of"
                f" {record.model!r}. Name a checkpoint of this model."
            )
        # The files tell the format of a checkpoint outside of a catalogue.
        file_format = open_checkpoint(prefix).format if record is None else record.format
        if "keras" in file_format or (record is not None and file_format != "tensor_bundle"):
            raise CheckpointMismatch(
                f"warm start {uri}: expected a checkpoint in TensorFlow's own format, got {file_format!r}."
                " Name a checkpoint that 'redraw train' saved, or a tf.train.Checkpoint."
            )
        return prefix

    def _batches(self) -> Iterator[Any]:
        with running_user_code(f"{self._definition_name()}.training_data"):
            return iter(self._distribute(batches_of(self._definition, "training_data").skip(self.step)))

    def _distribute(self, dataset: Any) -> Any:
        """The batches in the form that `_train_step` expects."""
        return dataset

    def _train_to(self, goal: int, steps: int, batches: Iterator[Any]) -> float:
        loss, reported_at, reported_step = float("nan"), time.monotonic(), self.step
        while self.step < goal:
            try:
                batch = next(batches)
            except StopIteration as err:
                raise InvalidDefinition(
                    f"{self._definition_name()}.training_data: expected an endless dataset, got {self.step}"
                    " batches. Call repeat() on the dataset."
                ) from err
            loss = self._train_step(*batch)
            now = time.monotonic()
            if now - reported_at >= _PROGRESS_SECONDS:
                rate = (self.step - reported_step) / (now - reported_at)
                logger.info("%s", step_line(self.step, steps, rate, float(loss)))
                reported_at, reported_step = now, self.step
        return float(loss)

    def _evaluate_and_save(self, loss: float) -> None:
        metrics = {"training_loss": loss, **self._measure()}
        step = self.step
        self._evaluate.write_events(step, metrics)
        # The metrics come first: a checkpoint without metrics could not be chosen by them. A line
        # without a checkpoint is written again after the run resumes.
        self._folder.add_evaluation(step, metrics)
        self._save(step)
        self._folder.checkpoint_saved(step, self._definition.training.keep_checkpoints)
        logger.info("%s", measured_line(step, metrics))
        if odd := sorted(name for name, value in finite_metrics(metrics).items() if value is None):
            logger.warning("step %d: expected finite metrics, got %s: recorded as null", step, ", ".join(odd))
