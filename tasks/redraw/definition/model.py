"""The base class of definitions, for models that Keras or a `tf.Module` draws."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, get_args, get_type_hints

from redraw.definition.contract import check_contract
from redraw.definition.parts import (
    Applies,
    Budget,
    GoldenExamples,
    Mode,
    OutsideReference,
    Threshold,
    TrainingPlan,
)
from redraw.definition.user_code import batches_of
from redraw.errors import InvalidDefinition
from redraw.records import Signature, WeightsKind

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

# Enough to detect a forgotten preprocessing step, in about a second.
HELD_OUT_ROWS = 200
# The newest release of TensorFlow Serving, which follows TensorFlow by months; docker/compose.yaml runs it.
# Source: https://github.com/tensorflow/serving/issues/4129
NEWEST_SERVER = "2.20"


class ModelDefinition(ABC):
    r"""One model: its data, its network in every mode, and what it serves.

    Attributes:
        signatures: Name to signature; the contract from which the export is built, and against which
            validation checks it. The first dimension of each tensor is the batch, None.
        thresholds: Metric name to the bound that it must meet before publication.
        weights: Which weights to serve unless a run says otherwise.
        training: How long to train.
        training_only: Patterns (`fnmatch`) of variables that only the training network has, such as
            an auxiliary head's.
        renames: Pairs of a served variable's name and its name in the checkpoint: strings, or a compiled
            pattern for the whole name and a template (`\1`).
        checkpoint_roots: Kind of weights to the object of a `tf.train.Checkpoint` that has them, as a path of
            attributes. Needed if it is not `model`, a shadow model with a usual name, or the only one that
            fits.
        tolerance: The largest allowed difference, absolute and relative, between floats of the SavedModel and
            of the checkpoint in evaluation mode.
        serving_runtime: The oldest TensorFlow release whose server must load the export; by default
            the newest release of TensorFlow Serving.
        stateful_ops: Types of operations that a signature may reach although they are random or have a state,
            such as a sampling decoder's.
        budget: What the model may cost where it is served.
        max_regression: Metric name to the largest regression from the live version, on the same held-out
            data. Without it, a version that is significantly worse by the first metric of `thresholds` is
            published, but not made live.
        max_changed: Output name to the share of golden and held-out rows, from 0 to 1, whose answer may
            differ from the live version's: floats by `change_tolerance`, absolute and relative, or less.
        applies_to: Which checkpoints it is for, by their training time, if the model has had other
            definitions. Each of those is in a module of its own, and names the model in its `applies_to`.
        legacy_keras: Whether TensorFlow's own Keras is Keras 2 (the package tf_keras) wherever the definition
            runs, for `tf.compat.v1.layers` and `tf.compat.v1.nn.rnn_cell`. Written as True or False.
        reference: An old SavedModel, recorded requests or a recorded graph whose answers the export must
            match.
        approval: Whether an Airflow run waits for a person before it publishes. Write the literal True or
            False: it is read from the file without running it.
        approval_by_another: The same, but the person must not be the one who started the run.
        schedule: When Airflow trains and publishes it again, as a cron expression in UTC; empty: only by
            hand. Write a literal text: it is read from the file without running it, and so is `owner`.
        owner: Who is responsible: a person, a team, an address.
        license: Its license, for the model card and the bill of materials: an SPDX identifier such as
            `Apache-2.0`, or a text. `licence` is read as well.
        intended_use: Its intended use, for the model card.
        limits: Its limits: uses that are not intended, and cases in which it fails, for the model card.
        data_sets: Names or URIs of the data that it was trained and evaluated on.
    """

    signatures: ClassVar[Mapping[str, Signature]]
    thresholds: ClassVar[Mapping[str, Threshold]] = {}
    weights: ClassVar[WeightsKind] = "raw"
    training: ClassVar[TrainingPlan] = TrainingPlan()
    training_only: ClassVar[tuple[str, ...]] = ()
    renames: ClassVar[tuple[tuple[str | re.Pattern[str], str], ...]] = ()
    checkpoint_roots: ClassVar[Mapping[WeightsKind, str]] = {}
    tolerance: ClassVar[float] = 1e-5
    serving_runtime: ClassVar[str] = NEWEST_SERVER
    stateful_ops: ClassVar[tuple[str, ...]] = ()
    budget: ClassVar[Budget] = Budget()
    max_regression: ClassVar[Mapping[str, float]] = {}
    max_changed: ClassVar[Mapping[str, float]] = {}
    change_tolerance: ClassVar[float] = 0.01
    applies_to: ClassVar[Applies] = Applies()
    legacy_keras: ClassVar[bool] = False
    reference: ClassVar[OutsideReference] = OutsideReference()
    approval: ClassVar[bool] = False
    approval_by_another: ClassVar[bool] = False
    schedule: ClassVar[str] = ""
    owner: ClassVar[str] = ""
    license: ClassVar[str] = ""
    licence: ClassVar[str] = ""
    intended_use: ClassVar[str] = ""
    limits: ClassVar[str] = ""
    data_sets: ClassVar[tuple[str, ...]] = ()

    def training_data(self) -> tf.data.Dataset:
        """Endless batches of (features, labels), in the same order each time it is called.

        A run that was stopped resumes at its next batch (`Dataset.skip`), so a seed must fix the order. A
        definition that only exports has none.
        """
        raise self._lacking("training_data")

    def evaluation_data(self) -> tf.data.Dataset:
        """Batches of (features, labels) that training never sees, each once.

        A definition that only exports may have it, too, for its metrics and held-out examples.
        """
        raise self._lacking("evaluation_data")

    @abstractmethod
    def build(self, mode: Mode) -> Any:
        """Draw the network for one mode.

        Args:
            mode: What the graph is for.

        Returns:
            A Keras model or a `tf.Module`.
        """

    @abstractmethod
    def serve(self, network: Any, signature: str, inputs: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        """Answer one request: raw inputs in, outputs out, pre- and post-processing included.

        Args:
            network: The result of `build`, for SERVE, or for EVALUATE when answers are compared.
            signature: Which of `signatures`.
            inputs: Input name to tensor, of the signature's dtypes and shapes.

        Returns:
            Output name to tensor, of the signature's dtypes and shapes.
        """

    def loss(self, outputs: Any, labels: Any) -> tf.Tensor:
        """The mean loss of a batch, a scalar float; only needed to train, and to evaluate."""
        raise self._lacking("loss")

    def golden_examples(self) -> Mapping[str, GoldenExamples]:
        """Signature name to examples; for signatures without some, requests are generated."""
        return {}

    def held_out_examples(self) -> Mapping[str, GoldenExamples]:
        """Signature name to some hundred requests that training never saw, with their labels.

        Validation compares the export's answers with the checkpoint's, and its metrics with the thresholds.
        By default these are the first rows of the evaluation data, for signatures whose inputs are the
        features; override it if requests have another form.
        """
        from redraw.definition.held_out import requests_of_features

        if self.lacks("evaluation_data"):
            return {}
        return requests_of_features(batches_of(self, "evaluation_data"), self.signatures, HELD_OUT_ROWS)

    def served_metrics(
        self, signature: str, outputs: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray]
    ) -> Mapping[str, float]:
        """Metric name to value, of the export's answers to the held-out examples of a signature.

        Args:
            signature: Which of `signatures`.
            outputs: Output name to answers, [batch, …].
            labels: Output name to the true answers, [batch, …].

        Returns:
            By default `accuracy` if the labelled output is discrete, else `mean_absolute_error`. Metrics in
            `thresholds` are checked against them.
        """
        from redraw.definition.held_out import measure_answers

        return measure_answers(outputs, labels)

    def call(self, network: Any, features: Any, mode: Mode) -> Any:
        """The network's outputs for a batch of features."""
        return network(features, training=mode is Mode.TRAIN)

    def optimizer(self) -> keras.optimizers.Optimizer:
        """The optimizer that trains the network; Adam unless overridden."""
        import keras

        return keras.optimizers.Adam()

    def metrics(self) -> Mapping[str, keras.metrics.Metric]:
        """Metric name to Keras metric, updated with (labels, outputs); the loss is added automatically."""
        return {}

    def lacks(self, *methods: str) -> tuple[str, ...]:
        """Which of some methods, such as `training_data`, it lacks; without them it only exports."""
        return tuple(name for name in methods if getattr(type(self), name) is getattr(ModelDefinition, name))

    def check_trainable(self) -> None:
        """Demand the methods that training needs.

        Raises:
            InvalidDefinition: It only exports.
        """
        if missing := self.lacks("training_data", "evaluation_data", "loss"):
            raise self._lacking(", ".join(missing))

    def _lacking(self, what: str) -> InvalidDefinition:
        return InvalidDefinition(
            f"definition {type(self).__module__}.{type(self).__name__}: expected {what}, got none: this"
            " definition only exports. To train the model, add these methods."
        )

    def check(self) -> None:
        """Check the definition against the contract, as far as that needs no graph.

        Raises:
            InvalidDefinition: It has no signature, a tensor without a batch dimension, renames that are no
                pairs, or an impossible training plan.
        """
        check_contract(self, _declared_attributes())


@cache
def _declared_attributes() -> dict[str, Any]:
    """Attribute to type, for attributes without a check of their own."""
    hints = get_type_hints(ModelDefinition)
    return {name: get_args(hints[name])[0] for name in hints.keys() - {"signatures", "renames"}}
