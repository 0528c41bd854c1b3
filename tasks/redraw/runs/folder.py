"""The files of a training run: its record, its metrics and its checkpoints. No TensorFlow here."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from redraw.errors import InvalidRecord
from redraw.records import Metrics, TrainingRun, finite_metrics
from redraw.records.codec import decode_dataclass
from redraw.records.forms import Count, Time
from redraw.records.json_text import parse_json
from redraw.storage.files import write_atomically
from redraw.uri import Uri

RECORD, METRICS, CHECKPOINTS = "run.json", "metrics.jsonl", "checkpoints"
_STEP = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A line of `metrics.jsonl`: the metrics of the checkpoint saved at a step.

    Attributes:
        step: The training step.
        time: When, in UTC, `YYYY-MM-DDTHH:MM:SSZ`.
        metrics: Name to value, of the raw weights; of averaged ones as `average_<name>`.
    """

    step: Count
    time: Time
    metrics: Metrics

    def __post_init__(self) -> None:
        """Replace metrics that are NaN, which older files have, by None."""
        object.__setattr__(self, "metrics", finite_metrics(self.metrics))


def is_step(text: str) -> bool:
    """Whether a text is a step as in the names of checkpoints."""
    return bool(_STEP.fullmatch(text))


class RunFolder:
    """The folder of one training run on this machine.

    Args:
        path: The folder; it need not exist.
    """

    # Whether a checkpoint is uploaded once it is saved, and so must be complete when saving returns.
    sends = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / CHECKPOINTS
        self.events = path / "events"
        self._record = path / RECORD
        self._metrics = path / METRICS

    @property
    def uri(self) -> Uri:
        """The run's URI for other stages."""
        return Uri(self.path).absolute()

    def is_empty(self) -> bool:
        """Whether the folder is missing or empty."""
        return not (self.path.is_dir() and any(self.path.iterdir()))

    def claim(self) -> None:
        """Take over the run, so that only this process continues it."""

    def read_run(self) -> TrainingRun | None:
        """The run's record; None if the folder has none.

        Raises:
            InvalidRecord: `run.json` is damaged.
        """
        if not self._record.exists():
            return None
        return TrainingRun.from_text(self._record.read_bytes(), str(self._record))

    def write_run(self, run: TrainingRun) -> None:
        """Write the run's record."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self._record, run.to_bytes())

    def add_evaluation(self, step: int, metrics: Metrics) -> None:
        """Append a line to the metrics, and wait until the disk has it."""
        line = {
            "step": step,
            "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "metrics": finite_metrics(metrics),
        }
        with self._metrics.open("a") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def evaluations(self) -> dict[int, Evaluation]:
        """Step to its last evaluation; a last line that a kill cut short is skipped.

        Raises:
            InvalidRecord: A line other than the last is damaged.
        """
        evaluations: dict[int, Evaluation] = {}
        lines = self._metrics.read_text().splitlines() if self._metrics.exists() else []
        for number, line in enumerate(lines, start=1):
            try:
                evaluation = decode_dataclass(Evaluation, parse_json(line))
            except ValueError as err:
                if number == len(lines):
                    break
                raise InvalidRecord(
                    f"{self.uri}/{METRICS}, line {number}: expected step, time and metrics, got"
                    f" {line!r:.60}. Choose a new folder with --out."
                ) from err
            evaluations[evaluation.step] = evaluation
        return evaluations

    def last_metrics(self) -> Metrics:
        """The newest evaluation's metrics; empty before the first."""
        evaluations = self.evaluations()
        return evaluations[max(evaluations)].metrics if evaluations else {}

    def steps(self) -> list[int]:
        """The steps of the saved checkpoints, the lowest first."""
        steps = (path.stem.removeprefix("ckpt-") for path in self.checkpoints.glob("ckpt-*.index"))
        return sorted(int(step) for step in steps if is_step(step))

    def checkpoint(self, step: int) -> Path:
        """The local prefix of the checkpoint of one of these steps."""
        return self.checkpoints / f"ckpt-{step}"

    def checkpoint_saved(self, step: int, keep: int) -> None:
        """Handle a checkpoint that was just saved.

        Args:
            step: Its step.
            keep: How many checkpoints to keep; the process that saved it has removed the others here.
        """
