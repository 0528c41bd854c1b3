"""Train Keras models and modules, with object-based checkpoints."""

from __future__ import annotations

import contextlib
import logging
import zlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from redraw.checkpoint.select import last_whole_checkpoint
from redraw.compat.keras import finish_saving, repair_async_saving
from redraw.definition import Mode, ModelDefinition
from redraw.definition.user_code import method_of, running_user_code
from redraw.errors import CheckpointMismatch, one_line
from redraw.networks.modules import (
    build_layers,
    copy_weights,
    demand_trainable,
    draw_network,
    is_random_state,
    trainable_weights,
    weights_by_name,
)
from redraw.records import TrainingRun
from redraw.runs.folder import RunFolder
from redraw.storage.scratch import scratch_folder
from redraw.train.average import update_average
from redraw.train.evaluate import Evaluator
from redraw.train.step_loop import StepLoop
from redraw.uri import Uri

logger = logging.getLogger(__name__)


class Trainer(StepLoop):
    """One run's networks, optimizer and checkpoints.

    A checkpoint is a `tf.train.Checkpoint` of `step`, `model` (the training network),
    `optimizer`, `average` (the evaluation network with the moving average of the weights, if
    the plan keeps one) and `random_seeds`.

    Args:
        definition: The model.
        folder: The folder for checkpoints and metrics.
        run: The run's record; its name seeds the weights, so that each run starts from other weights.

    Raises:
        InvalidDefinition: The network cannot be drawn.
    """

    def __init__(self, definition: ModelDefinition, folder: RunFolder, run: TrainingRun) -> None:
        keras.utils.set_random_seed(zlib.crc32(run.run.encode()))
        super().__init__(definition, folder)
        self._network = draw_network(definition, Mode.TRAIN, self._training_scope())
        build_layers(definition, self._network, Mode.TRAIN, self._training_scope())
        demand_trainable(self._network)
        self._evaluated = draw_network(definition, Mode.EVALUATE)
        build_layers(definition, self._evaluated, Mode.EVALUATE, contextlib.nullcontext())
        self._average = self._make_average()
        with self._place():
            with running_user_code(method_of(definition, "optimizer")):
                self._optimizer = definition.optimizer()
                self._optimizer.build(self._trained)
            self._step = tf.Variable(0, dtype=tf.int64, name="step")
        self._checkpoint = tf.train.Checkpoint(**self._tracked())
        repair_async_saving()
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, str(folder.checkpoints), max_to_keep=definition.training.keep_checkpoints
        )
        self._evaluate = Evaluator(definition, folder.events)
        self._gradients = (
            tf.function(self._compute_gradients, jit_compile=True)
            if definition.training.jit_compile
            else self._compute_gradients
        )
        self._traced_step = tf.function(self._one_step)

    @property
    def step(self) -> int:
        """The last step trained."""
        return int(self._step.numpy())

    def restore(self, warm_start: Uri | None) -> int:
        """Take the weights of the last checkpoint, or of the warm start."""
        if latest := last_whole_checkpoint(self._folder):
            _read_checkpoint(self._checkpoint, str(latest))
            logger.info("resuming from %s", latest)
        elif warm_start:
            self._take_weights(warm_start)
        return self.step

    def train_until(self, steps: int) -> None:
        """Train up to a step; the last checkpoint is on the disk when this returns."""
        super().train_until(steps)
        finish_saving(self._checkpoint)

    def _make_average(self) -> Any:
        if self._definition.training.average_decay is None:
            return None
        average = draw_network(self._definition, Mode.EVALUATE, self._place())
        build_layers(self._definition, average, Mode.EVALUATE, self._place())
        copy_weights(self._network, average)
        return average

    def _place(self) -> contextlib.AbstractContextManager[Any]:
        """The scope in which the variables that training changes are created."""
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def _training_scope(self) -> Iterator[None]:
        precision, before = self._definition.training.mixed_precision, keras.config.dtype_policy()
        with self._place():
            if precision:
                keras.config.set_dtype_policy(f"mixed_{precision}")
            try:
                yield
            finally:
                keras.config.set_dtype_policy(before)

    @property
    def _trained(self) -> list[Any]:
        return trainable_weights(self._network)

    def _tracked(self) -> dict[str, Any]:
        seeds = [v.value for v in getattr(self._network, "variables", []) if _is_seed(v)]
        tracked = {"step": self._step, "model": self._network, "optimizer": self._optimizer}
        average = {} if self._average is None else {"average": self._average}
        return tracked | average | {"random_seeds": seeds}

    def _take_weights(self, uri: Uri) -> None:
        with scratch_folder("warm-start") as scratch:
            prefix = self._fetch_warm_start(uri, scratch)
            _read_checkpoint(tf.train.Checkpoint(model=self._network), str(prefix), partial=True)
        if self._average is not None:
            copy_weights(self._network, self._average)
        logger.info("weights taken from %s", uri)

    def _one_step(self, features: Any, labels: Any) -> tf.Tensor:
        loss, gradients = self._gradients(features, labels)
        self._optimizer.apply(gradients, self._trained)
        self._count_step()
        return loss

    def _compute_gradients(
        self, features: Any, labels: Any, share: float | tf.Tensor = 1.0
    ) -> tuple[tf.Tensor, Any]:
        """The loss of a batch, times its share, and the gradients of the trainable variables."""
        with tf.GradientTape() as tape:
            outputs = self._definition.call(self._network, features, Mode.TRAIN)
            if self._definition.training.mixed_precision:
                outputs = tf.nest.map_structure(_as_float32, outputs)
            loss = self._definition.loss(outputs, labels) * share
        variables = [v.value if isinstance(v, keras.Variable) else v for v in self._trained]
        return loss, tape.gradient(loss, variables)

    def _count_step(self) -> None:
        self._step.assign_add(1)
        decay = self._definition.training.average_decay
        if decay is not None:
            update_average(weights_by_name(self._average), weights_by_name(self._network), decay, self._step)

    def _train_step(self, features: Any, labels: Any) -> Any:
        return self._traced_step(features, labels)

    def _measure(self) -> dict[str, float]:
        copy_weights(self._network, self._evaluated)
        metrics = self._evaluate(self._evaluated)
        if self._average is not None:
            averaged = self._evaluate(self._average)
            metrics |= {f"average_{name}": value for name, value in averaged.items()}
        return metrics

    def _save(self, step: int) -> None:
        # A checkpoint that is uploaded right after saving has to be on the disk by then.
        options = tf.train.CheckpointOptions(enable_async=not self._folder.sends)
        self._manager.save(step, options=options)


def _as_float32(tensor: tf.Tensor) -> tf.Tensor:
    """An output of lower precision in float32, which the definition's loss expects."""
    return tf.cast(tensor, tf.float32) if tensor.dtype == tf.bfloat16 else tensor


def _is_seed(variable: Any) -> bool:
    return isinstance(variable, keras.Variable) and is_random_state(variable.path)


def _read_checkpoint(checkpoint: tf.train.Checkpoint, prefix: str, partial: bool = False) -> None:
    try:
        status = checkpoint.read(prefix)
        if partial:
            status.expect_partial()
        status.assert_existing_objects_matched()
    except (AssertionError, ValueError, tf.errors.NotFoundError) as err:
        first_line = one_line(str(err).partition("\n")[0])
        raise CheckpointMismatch(
            f"{prefix}: expected a checkpoint of this network, got one that does not match: {first_line}."
            " Choose a new folder with --out, or another checkpoint."
        ) from err
