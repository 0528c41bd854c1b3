"""What a user writes: one class that draws every graph of a model from the same code.

A definition is a module in one of the packages that `REDRAW_MODELS` lists. The
module's name is the model's name, its docstring's first line describes it, and it
holds one subclass of `ModelDefinition` (imports may stand at its top: the module is
only imported by stages that need TensorFlow).

Three kinds of network fit: a Keras model, a `tf.Module`, and a TF1 graph function. A
`ModelDefinition` builds one of the first two; all that is asked of it is that it is
callable and has `variables`. A `GraphFunctionDefinition` draws with `tf.compat.v1`
instead, for models whose checkpoints know variables by name alone. In each kind names
say which value of the checkpoint belongs where (Keras: variables' paths), so a layer
that is drawn in one mode only (dropout, augmentation) must not change the names of
the others.
"""

from __future__ import annotations

import enum
import functools
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from tasks.errors import InvalidDefinition
from tasks.records import Signature, TensorSpec, WeightsKind

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

__all__ = [
    "GoldenExamples",
    "GraphFunctionDefinition",
    "Mode",
    "ModelDefinition",
    "Signature",
    "TensorSpec",
    "Threshold",
    "TrainingPlan",
]


class Mode(enum.Enum):
    """What a graph is drawn for."""

    TRAIN = "train"
    EVALUATE = "evaluate"
    SERVE = "serve"


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """The bound that a metric has to keep before a model may be published.

    Attributes:
        at_least: The lowest value that passes; None for no bound.
        at_most: The highest value that passes; None for no bound. A metric with this
            bound alone is one of which lower is better.
    """

    at_least: float | None = None
    at_most: float | None = None

    def admits(self, value: float) -> bool:
        """Whether the value keeps the bound; NaN never does."""
        above = self.at_least is None or value >= self.at_least
        below = self.at_most is None or value <= self.at_most
        return above and below and value == value


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """How long to train, and how often to look.

    Attributes:
        steps: Batches to train on, unless a run asks for another number.
        evaluate_every: Steps from one evaluation and checkpoint to the next.
        keep_checkpoints: How many checkpoints of a run to keep, the newest.
        average_decay: Decay of the exponential moving average of the weights, in
            [0, 1); None to keep none.
    """

    steps: int = 1000
    evaluate_every: int = 100
    keep_checkpoints: int = 20
    average_decay: float | None = None


@dataclass(frozen=True, kw_only=True)
class GoldenExamples:
    """Requests whose answers are compared before every publication.

    Attributes:
        inputs: Input name to a batch of values, shape [batch, …], as the signature says.
        labels: Output name to the true answers, shape [batch, …], where they are known;
            shown beside the published model's answers, not demanded of it.
    """

    inputs: Mapping[str, np.ndarray]
    labels: Mapping[str, np.ndarray] = field(default_factory=dict)


class ModelDefinition(ABC):
    r"""One model: its data, its network in every mode, and what it serves.

    Attributes:
        signatures: Name to signature; the contract that the export is built from and
            that validation holds it to. The first dimension of each tensor is the batch, None.
        thresholds: Metric name to the bound that it keeps before publication.
        weights: Which weights to serve unless a run says otherwise.
        training: How long to train.
        training_only: Patterns (`fnmatch`) of variables that the training network has and the
            serving network has not, such as an auxiliary head's.
        renames: Pairs of a served variable's name and what the checkpoint calls it: strings as
            they are, or a compiled pattern for the whole name and a template (`\1`).
        checkpoint_roots: Kind of weights to the object of a `tf.train.Checkpoint` that holds
            them, as a path of attributes, where it is not `model`, a shadow model of a usual
            name, or the only one that fits.
        tolerance: The largest difference, absolute and relative, allowed between a float
            that the SavedModel answers and the same from the checkpoint in evaluation mode.
    """

    signatures: ClassVar[Mapping[str, Signature]]
    thresholds: ClassVar[Mapping[str, Threshold]] = {}
    weights: ClassVar[WeightsKind] = "raw"
    training: ClassVar[TrainingPlan] = TrainingPlan()
    training_only: ClassVar[tuple[str, ...]] = ()
    renames: ClassVar[tuple[tuple[str | re.Pattern[str], str], ...]] = ()
    checkpoint_roots: ClassVar[Mapping[WeightsKind, str]] = {}
    tolerance: ClassVar[float] = 1e-5

    @abstractmethod
    def training_data(self) -> tf.data.Dataset:
        """Endless batches of (features, labels), in the same order each time it is called.

        A run that was stopped carries on at its next batch (`Dataset.skip`), so the
        order has to be fixed by a seed.
        """

    @abstractmethod
    def evaluation_data(self) -> tf.data.Dataset:
        """Batches of (features, labels) that training never sees, each once."""

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

    @abstractmethod
    def loss(self, outputs: Any, labels: Any) -> tf.Tensor:
        """The mean loss of a batch, a scalar float."""

    @abstractmethod
    def golden_examples(self) -> Mapping[str, GoldenExamples]:
        """Signature name to examples, for every signature."""

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

    def check(self) -> None:
        """Hold the definition to the contract, as far as that needs no graph.

        Raises:
            InvalidDefinition: No signature, a tensor without a batch dimension, renames that
                are no pairs, or a plan that cannot be followed.
        """
        where = f"definition {type(self).__module__}.{type(self).__name__}"
        if not getattr(self, "signatures", None):
            raise InvalidDefinition(f"{where}: expected at least one signature, got none. Add one.")
        for name, signature in self.signatures.items():
            _check_signature(f"{where}, signature {name!r}", signature)
        _check_renames(where, self.renames)
        plan = self.training
        if min(plan.steps, plan.evaluate_every, plan.keep_checkpoints) < 1:
            raise InvalidDefinition(f"{where}: expected positive numbers in its TrainingPlan, got {plan}.")
        if self.weights == "average" and plan.average_decay is None:
            raise InvalidDefinition(
                f"{where}: serves averaged weights, but its TrainingPlan keeps none."
                " Set average_decay, or serve the raw weights."
            )


def _check_renames(where: str, renames: object) -> None:
    pairs = renames if isinstance(renames, tuple) else (renames,)
    for pair in pairs:
        fits = isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[1], str)
        if not fits or not isinstance(pair[0], str | re.Pattern):
            raise InvalidDefinition(
                f"{where}, renames: expected pairs of a name or a compiled pattern and the checkpoint's name,"
                f" got {pair!r:.80}. Write them as a tuple of tuples."
            )


class GraphFunctionDefinition(ModelDefinition):
    """A model as a TF1 graph function, for checkpoints that know variables by name alone.

    `graph` takes the place of `build`; everything else is as for the other kinds, with
    these differences:

    - `graph`, `serve` and `loss` run while a `tf.Graph` is being built. Their tensors come
      from placeholders: of the signature when serving, of the batches' dtypes and shapes
      otherwise. `training_data` and `evaluation_data` stay outside of the graph.
    - Variables come from `tf.compat.v1.get_variable` under variable scopes, which is how two
      drawings in one graph (two signatures; training and evaluation) share them.
      `tf.compat.v1.layers` does not work beside Keras 3; `tf.nn` does.
    - What `graph` adds to the collection `UPDATE_OPS` for TRAIN runs with each step.
    - Tables are initialized before the first step and the first request. A file that
      initializes one becomes an asset of the SavedModel.
    - `optimizer` gives a `tf.compat.v1.train.Optimizer`.
    - `metrics` are updated with arrays, outside of the graph.
    - Averages (`TrainingPlan.average_decay`) are those of
      `tf.compat.v1.train.ExponentialMovingAverage` over the trainable variables; what is not
      trainable, such as batch statistics, is served as it is.
    """

    @abstractmethod
    def graph(self, mode: Mode, features: Any) -> Any:
        """Draw the network in the graph that is being built.

        Args:
            mode: What the graph is for; dropout's `keep_prob` and the like follow from it.
            features: A batch of features: a tensor, or a structure of tensors.

        Returns:
            The outputs, a tensor or a structure of tensors, for `loss`, `metrics` and `serve`.
        """

    def build(self, mode: Mode) -> Callable[[Any], Any]:
        """The network that `call` and `serve` are given: `graph`, sharing its variables.

        Args:
            mode: What the graph is for.

        Returns:
            Features to outputs; it may be called any number of times in any graph.
        """
        from tasks.graphs import sharing_variables

        return sharing_variables(functools.partial(self.graph, mode))

    def call(self, network: Any, features: Any, mode: Mode) -> Any:
        """The network's outputs for a batch of features; it was built for its mode."""
        return network(features)

    def optimizer(self) -> tf.compat.v1.train.Optimizer:
        """The optimizer that trains the network; Adam unless overridden."""
        import tensorflow as tf

        return tf.compat.v1.train.AdamOptimizer()


def _check_signature(where: str, signature: Signature) -> None:
    if not signature.inputs or not signature.outputs:
        raise InvalidDefinition(f"{where}: expected inputs and outputs, got {signature}. Name them.")
    for kind, tensors in (("input", signature.inputs), ("output", signature.outputs)):
        for name, spec in tensors.items():
            if not spec.shape or spec.shape[0] is not None:
                raise InvalidDefinition(
                    f"{where}, {kind} {name!r}: expected a batch dimension (None first), got {spec}."
                    " Put None first in its shape."
                )
