"""Train a network with several replicas: on one machine's devices, or on several machines."""

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

# The errors of collective operations after another worker was lost.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


def make_strategy(cluster: Cluster) -> tf.distribute.Strategy:
    """Make the strategy of the replicas; with several workers before any other operation of TensorFlow.

    Args:
        cluster: The workers; one worker has a replica on each of its GPUs, or else logical CPUs.
    """
    # TensorFlow would log a line for each summed variable.
    logging.getLogger("tensorflow").setLevel(logging.WARNING)
    if cluster.workers > 1:
        with _raising_worker_lost(cluster):
            return tf.distribute.MultiWorkerMirroredStrategy()
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


class DistributedTrainer(Trainer):
    """Trains a Keras model or a module with several replicas that stay equal.

    Each step trains on one batch of the definition, split among the replicas, and sums up their
    gradients before the optimizer clips and applies them: the same step that one replica would make.
    Only the chief reads a checkpoint, and the others get its values. Only the chief evaluates and
    saves.

    Args:
        definition: The model.
        folder: The folder for checkpoints and metrics.
        run: The run's record.
        strategy: The strategy from `make_strategy`.
        cluster: This process's place.

    Raises:
        InvalidDefinition: The network cannot be drawn.
        WorkerLost: Another worker was lost.
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
        with _raising_worker_lost(cluster):
            super().__init__(definition, folder, run)
        # The optimizer clips the sum of the gradients, so they are summed before.
        self._sum_up = take_gradient_sum(self._optimizer)

    _worker_errors = _LOST

    def restore(self, warm_start: Uri | None) -> int:
        """Take the weights of a checkpoint; the chief reads it, and every worker gets its values."""
        if self._cluster.leads:
            super().restore(warm_start)
        with _raising_worker_lost(self._cluster):
            self._take_from_chief(self._variables())
        return self.step

    def train_until(self, steps: int) -> None:
        """Train up to a step; returns in all workers after the chief saved the last checkpoint."""
        with _raising_worker_lost(self._cluster):
            super().train_until(steps)
            # Wait for the chief once more: a worker that ends before it has saved looks lost to it.
            self._take_from_chief([self._step])

    def _place(self) -> contextlib.AbstractContextManager[Any]:
        scope: contextlib.AbstractContextManager[Any] = self._strategy.scope()
        return scope

    def _distribute(self, dataset: tf.data.Dataset) -> Any:
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
        """Set variables to the chief's values: a sum to which the other replicas add zeros."""
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
        variables = [v for network in networks for v in network.variables] + list(self._optimizer.variables)
        return [self._step, *(v.value if isinstance(v, keras.Variable) else v for v in variables)]


def _first_replicas(variables: list[Any]) -> list[tf.Tensor]:
    context = tf.distribute.get_replica_context()
    first = tf.equal(context.replica_id_in_sync_group, 0)
    values = [tf.convert_to_tensor(variable) for variable in variables]
    own = [tf.where(first, value, tf.zeros_like(value)) for value in values]
    return [context.all_reduce(tf.distribute.ReduceOp.SUM, value) for value in own]


@contextlib.contextmanager
def _raising_worker_lost(cluster: Cluster) -> Iterator[None]:
    try:
        yield
    except _LOST as err:
        if cluster.workers == 1:
            raise
        raise WorkerLost(
            f"worker {cluster.index} of {cluster.workers}: expected the other workers to answer, got"
            f" {type(err).__name__}: {str(err).partition(chr(10))[0]:.200}. Start every worker again with"
            " the same command: training resumes from the last checkpoint."
        ) from err


def split_batches(dataset: tf.data.Dataset, replicas: int, first: int, count: int) -> tf.data.Dataset:
    """Turn each batch into the parts of some replicas, one after the other.

    The definition's batch is the global one: replica i has its rows from size * i // replicas.
    Every worker reads all batches, in the same order, and keeps its own rows.

    Args:
        dataset: Batches of (features, labels), at least as many rows in each as there are replicas.
        replicas: The number of all replicas.
        first: The first replica to make parts for.
        count: The number of replicas to make parts for.

    Returns:
        Elements of (features, labels, share): share is the part's rows divided by the batch's, so
        that the mean losses times their shares sum up to the batch's mean.
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
