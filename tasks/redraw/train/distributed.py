"""Training of one network by several replicas: on one machine's devices, or on several machines."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from redraw.compat.keras import take_gradient_sum
from redraw.definition import ModelDefinition
from redraw.errors import WorkerLost
from redraw.records import TrainingRun
from redraw.runs.folder import RunFolder
from redraw.train.cluster import Cluster
from redraw.train.keras_loop import Trainer
from redraw.uri import Uri

# What collective operations fail with when another worker is gone.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


def make_strategy(cluster: Cluster) -> tf.distribute.Strategy:
    """How the replicas keep together; before any other operation of TensorFlow where there are workers.

    Args:
        cluster: The workers; one worker has a replica on each of its GPUs, or else logical CPUs.
    """
    # A line for each variable that is summed up is not what a log is for.
    logging.getLogger("tensorflow").setLevel(logging.WARNING)
    if cluster.workers > 1:
        with _telling_lost(cluster):
            return tf.distribute.MultiWorkerMirroredStrategy()
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


class DistributedTrainer(Trainer):
    """As `Trainer`, by a network's replicas that stay equal.

    Each step trains on one batch of the definition, split among the replicas, and sums up their
    gradients before the optimizer sees (and clips) them: the same step that one replica would make.
    Only the chief reads a checkpoint; the others have its values from it. Only the chief evaluates
    and saves.

    Args:
        definition: The model.
        folder: Where checkpoints and metrics go.
        run: The run's record.
        strategy: As `make_strategy` makes it.
        cluster: This process's place.

    Raises:
        InvalidDefinition: The network cannot be drawn.
        WorkerLost: Another worker is gone.
    """

    def __init__(
        self,
        definition: ModelDefinition,
        folder: RunFolder,
        run: TrainingRun,
        strategy: tf.distribute.Strategy,
        cluster: Cluster,
    ) -> None:
        self._strategy, self._cluster = strategy, cluster
        with _telling_lost(cluster):
            super().__init__(definition, folder, run)
        # Gradients are summed up before they are clipped: what the optimizer clips is the sum.
        self._sum_up = take_gradient_sum(self._optimizer)

    _passing = _LOST

    def restore(self, warm_start: Uri | None) -> int:
        """As `StepLoop.restore`; what the chief has restored, every worker gets."""
        if self._cluster.leads:
            super().restore(warm_start)
        with _telling_lost(self._cluster):
            self._take_from_chief(self._variables())
        return self.step

    def train_until(self, steps: int) -> None:
        """As `StepLoop.train_until`; returns in all workers when the chief's last checkpoint is saved."""
        with _telling_lost(self._cluster):
            super().train_until(steps)
            # All workers meet once more: who ends before the chief has saved looks lost to it.
            self._take_from_chief([self._step])

    def _place(self) -> contextlib.AbstractContextManager[Any]:
        scope: contextlib.AbstractContextManager[Any] = self._strategy.scope()
        return scope

    def _fed(self, dataset: tf.data.Dataset) -> Any:
        replicas = self._strategy.num_replicas_in_sync
        count = replicas // self._cluster.workers
        parts = split_batches(dataset, replicas, self._cluster.index * count, count)
        return self._strategy.distribute_datasets_from_function(lambda context: parts)

    def _one_step(self, features: Any, labels: Any, share: Any = None) -> tf.Tensor:
        losses = self._strategy.run(self._replica_step, (features, labels, share))
        with self._strategy.scope():
            self._count_step()
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

    def _replica_step(self, features: Any, labels: Any, share: tf.Tensor) -> tf.Tensor:
        loss, gradients = self._gradients(features, labels, share)
        variables = self._trained
        summed = self._sum_up(list(zip(gradients, variables, strict=True)))
        self._optimizer.apply([gradient for gradient, _ in summed], variables)
        return loss

    def _train_step(self, features: Any, labels: Any, share: Any = None) -> Any:
        return self._traced_step(features, labels, share)

    def _evaluate_and_save(self, loss: float) -> None:
        if self._cluster.leads:
            super()._evaluate_and_save(loss)

    def _save(self, step: int) -> None:
        self._manager.save(step)

    def _take_from_chief(self, variables: list[Any]) -> None:
        """Set variables to the chief's value: a sum to which the other replicas add zeros."""
        if self._cluster.workers == 1:
            return

        @tf.function
        def sums() -> Any:
            return self._strategy.run(_first_replicas, (variables,))

        values = sums()
        with self._strategy.scope():
            for variable, value in zip(variables, values, strict=True):
                variable.assign(self._strategy.experimental_local_results(value)[0])

    def _variables(self) -> list[Any]:
        networks = [self._network] if self._average is None else [self._network, self._average]
        held = [v for network in networks for v in network.variables] + list(self._optimizer.variables)
        return [self._step, *(v.value if isinstance(v, keras.Variable) else v for v in held)]


def _first_replicas(variables: list[Any]) -> list[tf.Tensor]:
    context = tf.distribute.get_replica_context()
    first = tf.equal(context.replica_id_in_sync_group, 0)
    values = [tf.convert_to_tensor(variable) for variable in variables]
    own = [tf.where(first, value, tf.zeros_like(value)) for value in values]
    return [context.all_reduce(tf.distribute.ReduceOp.SUM, value) for value in own]


@contextlib.contextmanager
def _telling_lost(cluster: Cluster) -> Iterator[None]:
    try:
        yield
    except _LOST as err:
        if cluster.workers == 1:
            raise
        raise WorkerLost(
            f"worker {cluster.index} of {cluster.workers}: expected the other workers to answer, got"
            f" {type(err).__name__}: {str(err).partition(chr(10))[0]:.200}. Start every worker again with the"
            " same request: they resume from the last checkpoint."
        ) from err


def split_batches(dataset: tf.data.Dataset, replicas: int, first: int, count: int) -> tf.data.Dataset:
    """Turn each batch into the parts of some replicas, one after the other.

    The definition's batch is the global one: replica i has its rows from size * i // replicas.
    Every worker reads all batches, in the same order, and keeps its own rows.

    Args:
        dataset: Batches of (features, labels), at least as many rows in each as there are replicas.
        replicas: How many replicas there are in all.
        first: The first replica to make parts for.
        count: For how many.

    Returns:
        Elements of (features, labels, share): share is the part's rows by the batch's, so that the
        losses' means, times their share, sum up to the mean over the batch.
    """

    def parts(features: Any, labels: Any) -> tf.data.Dataset:
        rows = tf.shape(tf.nest.flatten(labels)[0], out_type=tf.int64)[0]
        message = f"a batch has fewer rows than the {replicas} replicas that train on it"
        with tf.control_dependencies(
            [tf.debugging.assert_greater_equal(rows, tf.cast(replicas, tf.int64), message)]
        ):
            rows = tf.identity(rows)

        def cut(replica: tf.Tensor) -> Any:
            begin, end = rows * replica // replicas, rows * (replica + 1) // replicas
            own = tf.nest.map_structure(lambda tensor: tensor[begin:end], (features, labels))
            return *own, tf.cast(end - begin, tf.float32) / tf.cast(rows, tf.float32)

        return tf.data.Dataset.range(first, first + count).map(cut)

    return dataset.flat_map(parts).prefetch(tf.data.AUTOTUNE)
