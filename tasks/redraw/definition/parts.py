"""The parts of a definition: modes, thresholds, a training plan, examples, references."""

from __future__ import annotations

import enum
import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from redraw.errors import InvalidDefinition
from redraw.records.times import parse_time
from redraw.uri import Uri

if TYPE_CHECKING:
    import numpy as np

# On one device; on all devices of a machine; on the machines that TF_CONFIG lists.
Distribution = Literal["none", "mirrored", "multi_worker"]


class Mode(enum.Enum):
    """The purpose of a graph."""

    TRAIN = "train"
    EVALUATE = "evaluate"
    SERVE = "serve"


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """The bound that a metric must meet before a model may be published.

    Attributes:
        at_least: The lowest value that passes; None for no bound.
        at_most: The highest value that passes; None for no bound. A metric with only
            this bound is one of which lower is better.
    """

    at_least: float | None = None
    at_most: float | None = None

    def admits(self, value: float) -> bool:
        """Whether a value meets the bound; NaN never does."""
        above = self.at_least is None or value >= self.at_least
        below = self.at_most is None or value <= self.at_most
        return above and below and value == value


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """How long to train, and how often to evaluate.

    Attributes:
        steps: Batches to train on, unless a run sets another number.
        evaluate_every: Steps from one evaluation and checkpoint to the next.
        keep_checkpoints: How many checkpoints of a run to keep, the newest.
        average_decay: Decay of the exponential moving average of the weights, in
            [0, 1); None to keep none.
        distribution: Where the network is trained, unless a run sets another value: on one device, with
            replicas on all devices of the machine, or on the machines of `TF_CONFIG`. A batch is the batch of
            all replicas together.
        mixed_precision: The dtype in which Keras layers compute while they train; variables, evaluation and
            serving are not affected. None for the variables' own dtype.
        jit_compile: Whether XLA compiles the gradients' graph; on one device only.
    """

    steps: int = 1000
    evaluate_every: int = 100
    keep_checkpoints: int = 20
    average_decay: float | None = None
    distribution: Distribution = "none"
    mixed_precision: Literal["bfloat16"] | None = None
    jit_compile: bool = False


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Limits of a served model; None for no limit.

    Attributes:
        size_bytes: Of all files.
        variables: Values in all variables.
        p50_ms: Half of the requests of one row are answered within this, in milliseconds.
        p99_ms: 99 of 100 requests of one row are answered within this, in milliseconds.
        rows_per_second: At least so many rows are answered per second, in requests of 32.
    """

    size_bytes: int | None = None
    variables: int | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    rows_per_second: float | None = None


@dataclass(frozen=True, kw_only=True)
class GoldenExamples:
    """Requests whose answers are compared before every publication.

    Attributes:
        inputs: Input name to a batch of values, with the shape [batch, …] of the signature.
        labels: Output name to the true answers, shape [batch, …], if they are known; they are shown next to
            the published model's answers, which need not match.
    """

    inputs: Mapping[str, np.ndarray]
    labels: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Applies:
    """The checkpoints that a definition is for, by their training time.

    Write it with plain texts: it is read from the file, without running it.

    Attributes:
        model: The model, if this is one of its earlier definitions; by default the definition's own name.
        from_time: The first training time that it is for, such as `2024-03-01`; UTC. None for no bound.
        until: The first training time that it is no longer for; None for no bound.
    """

    model: str = ""
    from_time: str | None = None
    until: str | None = None

    def __post_init__(self) -> None:
        """Refuse invalid times, and an empty period."""
        try:
            begin, end = (time and parse_time(time) for time in (self.from_time, self.until))
        except ValueError as err:
            raise InvalidDefinition(f"applies_to: {err}. Correct the definition.") from err
        if begin and end and begin >= end:
            raise InvalidDefinition(
                f"applies_to: expected from_time before until, got {self}. Correct the definition."
            )

    @property
    def bounded(self) -> bool:
        """Whether it has any bound."""
        return self.from_time is not None or self.until is not None

    def covers(self, trained_at: str) -> bool:
        """Whether it is for checkpoints of a time, in the form of records."""
        late_enough = self.from_time is None or parse_time(self.from_time) <= trained_at
        return late_enough and (self.until is None or trained_at < parse_time(self.until))

    def __str__(self) -> str:
        return f"from {self.from_time or 'the first'} until {self.until or 'the last'}"


@dataclass(frozen=True, kw_only=True)
class OutsideReference:
    """Answers that an export must match, from a source that is independent of the definition.

    Attributes:
        uri: A SavedModel's folder, such as the old production model; a file of recorded requests with their
            answers, as JSON lines or as TFRecords of TensorFlow Serving's `PredictionLog`; or a `.meta` or
            `graph.pbtxt` next to its checkpoint. Local, from the definition's folder on, or `gs://`.
        signatures: Signature to its name in the reference, if that differs.
        inputs: Input name to its name in the reference, if that differs; for a recorded graph, its tensor.
        outputs: Output name to its name in the reference, if that differs; for a recorded graph, its tensor.
        constants: For a recorded graph, tensor to its value, such as `is_training` to False.
        tolerance: How much floats may differ, absolute and relative; None for the definition's.
        rows: How many recorded rows to compare at most; None for all.

    Example:
        reference = OutsideReference(uri="gs://old/churn/17", outputs={"probability": "prob"})
    """

    uri: str = ""
    signatures: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float | None = None
    rows: int | None = None

    def __post_init__(self) -> None:
        """Refuse an invalid number of rows or tolerance."""
        if self.rows is not None and self.rows < 1:
            raise InvalidDefinition(
                f"reference: rows: expected 1 or more, got {self.rows}. Correct the definition."
            )
        if self.tolerance is not None and not 0 <= self.tolerance < math.inf:
            raise InvalidDefinition(
                f"reference: tolerance: expected 0 or more, got {self.tolerance}. Correct the definition."
            )


def near_definition(definition: object, text: str) -> Uri:
    """The URI of a file that a definition names; a relative path starts at the definition's folder."""
    place = Uri(text)
    if place.is_bucket or Path(place).is_absolute():
        return place
    return Uri(Path(inspect.getfile(type(definition))).parent / place)
