"""The definition of a model that Keras or a `tf.Module` draws, and what is demanded of any."""

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

# Enough to tell a forgotten preprocessing step from none, and few enough to cost a second.
HELD_OUT_ROWS = 200
# The newest release of TensorFlow Serving, which follows TensorFlow by months; docker/compose.yaml runs it.
# Source: https://github.com/tensorflow/serving/issues/4129
NEWEST_SERVER = "2.20"


class ModelDefinition(ABC):
    r"""One model: its data, its network in every mode, and what it serves.

    Attributes:
        signatures: Name to signature; the contract that the export is built from and
            that validation holds it to. The first dimension of each tensor is the batch, None.
        thresholds: Metric name to the bound that it keeps before publication.
        weights: Which weights to serve unless a run says otherwise.
        training: How long to train.
        training_only: Patterns (`fnmatch`) of variables that only the training network has, such as
            an auxiliary head's.
        renames: Pairs of a served variable's name and what the checkpoint calls it: strings as
            they are, or a compiled pattern for the whole name and a template (`\1`).
        checkpoint_roots: Kind of weights to the object of a `tf.train.Checkpoint` that holds
            them, as a path of attributes. Needed if it is not `model`, a shadow model of a usual
            name, or the only one that fits.
        tolerance: The largest difference, absolute and relative, allowed between a float
            that the SavedModel answers and the same from the checkpoint in evaluation mode.
        serving_runtime: The oldest TensorFlow release whose server has to load the export; by default
            the newest release of TensorFlow Serving.
        stateful_ops: Kinds of operations that a signature may reach although they are random
            or keep a state, such as a sampling decoder's.
        budget: What the model may cost where it is served.
        max_regression: Metric name to how much worse than the live version's it may be, on the same
            held-out data. Without it, a version that is significantly worse by the first metric of
            `thresholds` is published, but not made live.
        max_changed: Output name to the share of golden and held-out rows, from 0 to 1, whose answer may
            differ from the live version's: floats by `change_tolerance`, absolute and relative, or less.
        applies_to: Which checkpoints it is for, by their training time, if the model has had other
            definitions. Each of those is in a module of its own, and names the model in its `applies_to`.
        legacy_keras: Whether TensorFlow's own Keras is Keras 2 (the package tf_keras) wherever the definition
            runs, for `tf.compat.v1.layers` and `tf.compat.v1.nn.rnn_cell`. Written as True or False.
        reference: An old SavedModel, recorded requests or a recorded graph whose answers the export has to
            give as well.
        approval: Whether an Airflow run waits for a person before it publishes. Write the literal True or
            False: it is read from the file without running it.
        approval_by_another: The same, but the person must not be the one who started the run.
        schedule: When Airflow trains and publishes it again, as a cron expression in UTC; empty: only by
            hand. Write a literal text: it is read from the file without running it, as `owner` is.
        owner: Who is responsible: a person, a team, an address.
        license: What may be done with it, for the model card and the bill of materials: an SPDX identifier
            such as `Apache-2.0`, or a text. `licence` is read as well.
        intended_use: What it is for, for the model card.
        limits: What it is not for, and where it fails, for the model card.
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

        A run that was stopped resumes at its next batch (`Dataset.skip`), so the
        order has to be fixed by a seed. A definition that only exports has none.
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
            network: What `build` drew, for SERVE, or for EVALUATE when answers are compared.
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

        What is served is checked against the checkpoint's own answers to them, and its metrics to the
        thresholds. By default the first rows of the evaluation data, for the signatures that
        take features as they are; a model whose requests look otherwise overrides it.
        """
        from redraw.definition.held_out import requests_of_features

        if self.lacks("evaluation_data"):
            return {}
        return requests_of_features(batches_of(self, "evaluation_data"), self.signatures, HELD_OUT_ROWS)

    def served_metrics(
        self, signature: str, outputs: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray]
    ) -> Mapping[str, float]:
        """Metric name to value, of what is served for the held-out examples of a signature.

        Args:
            signature: Which of `signatures`.
            outputs: Output name to answers, [batch, …].
            labels: Output name to the true answers, [batch, …].

        Returns:
            By default `accuracy` where the labelled output is discrete, else
            `mean_absolute_error`. A name that `thresholds` knows is checked against them.
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
        """Metric name to Keras metric, updated with (labels, outputs); the loss comes by itself."""
        return {}

    def lacks(self, *methods: str) -> tuple[str, ...]:
        """Which of some methods, such as `training_data`, it does not have: it only exports."""
        return tuple(name for name in methods if getattr(type(self), name) is getattr(ModelDefinition, name))

    def check_trainable(self) -> None:
        """Demand what training needs.

        Raises:
            InvalidDefinition: It only exports.
        """
        if missing := self.lacks("training_data", "evaluation_data", "loss"):
            raise self._lacking(", ".join(missing))

    def _lacking(self, what: str) -> InvalidDefinition:
        return InvalidDefinition(
            f"definition {type(self).__module__}.{type(self).__name__}: expected {what}, got none: it only"
            " exports. Add what is missing to train it."
        )

    def check(self) -> None:
        """Check the definition against the contract, as far as that needs no graph.

        Raises:
            InvalidDefinition: No signature, a tensor without a batch dimension, renames that
                are no pairs, or a plan that cannot be followed.
        """
        check_contract(self, _declared_attributes())


@cache
def _declared_attributes() -> dict[str, Any]:
    """Attribute to type, of those with no check of their own."""
    hints = get_type_hints(ModelDefinition)
    return {name: get_args(hints[name])[0] for name in hints.keys() - {"signatures", "renames"}}
