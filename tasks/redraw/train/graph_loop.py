"""Train TF1 graph functions in a session, with name-based checkpoints."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from redraw.checkpoint.select import last_whole_checkpoint
from redraw.definition import GraphFunctionDefinition
from redraw.definition.user_code import batches_of, running_user_code
from redraw.networks.graph_functions import check_fit, group_by_saved_name, restore_by_name
from redraw.records import TrainingRun
from redraw.runs.folder import RunFolder
from redraw.storage.scratch import scratch_folder
from redraw.train.evaluate import Evaluator
from redraw.train.graph_training import Drawing, draw_training
from redraw.train.step_loop import StepLoop
from redraw.uri import Uri

logger = logging.getLogger(__name__)


class GraphTrainer(StepLoop):
    """One run's graph and session.

    A checkpoint is written by `tf.compat.v1.train.Saver` (format V2) and has all variables:
    `global_step`, the weights, the optimizer's slots (`<weight>/<slot>`), and the averages
    (`<weight>/ExponentialMovingAverage`).

    Args:
        definition: The model.
        folder: The folder for checkpoints and metrics.
        run: The run's record; its name seeds the weights, so that each run starts from other weights.

    Raises:
        InvalidDefinition: The graph cannot be drawn.
    """

    def __init__(self, definition: GraphFunctionDefinition, folder: RunFolder, run: TrainingRun) -> None:
        super().__init__(definition, folder)
        specs = self._spec("training_data"), self._spec("evaluation_data")
        self._graph = tf.Graph()
        with self._graph.as_default():
            tf.compat.v1.set_random_seed(zlib.crc32(run.run.encode()))
            self._training = draw_training(definition, *specs)
            self._saver = tf.compat.v1.train.Saver(
                max_to_keep=definition.training.keep_checkpoints, save_relative_paths=True
            )
            self._variables = group_by_saved_name(tf.compat.v1.global_variables())
            self._session = tf.compat.v1.Session()
            initializers = [
                tf.compat.v1.global_variables_initializer(),
                tf.compat.v1.local_variables_initializer(),
                tf.compat.v1.tables_initializer(),
            ]
            self._session.run(initializers)
        self._current_step = 0
        self._evaluate = SessionEvaluator(definition, folder.events, self._session)

    @property
    def step(self) -> int:
        """The last step trained."""
        return self._current_step

    def restore(self, warm_start: Uri | None) -> int:
        """Take the weights of the last checkpoint, or of the warm start, and finalize the graph."""
        if latest := last_whole_checkpoint(self._folder):
            check_fit(latest, self._variables)
            with self._graph.as_default():
                self._saver.restore(self._session, str(latest))
            self._saver.recover_last_checkpoints(self._saved_before())
            self._current_step = int(self._session.run(self._training.step))
            logger.info("resuming from %s", latest)
        elif warm_start:
            self._take_weights(warm_start)
        # From here on, an operation that each step adds by mistake would be a leak.
        self._graph.finalize()
        return self.step

    def close(self) -> None:
        """Close the event files and the session."""
        super().close()
        self._session.close()

    def _spec(self, method: str) -> Any:
        with running_user_code(f"{self._definition_name()}.{method}"):
            return batches_of(self._definition, method).element_spec

    def _saved_before(self) -> list[str]:
        """The run's checkpoints, the oldest first, which the Saver removes first."""
        prefixes = [path.with_suffix("") for path in self._folder.checkpoints.glob("ckpt-*.index")]
        return [str(path) for path in sorted(prefixes, key=lambda path: int(path.name.removeprefix("ckpt-")))]

    def _take_weights(self, uri: Uri) -> None:
        with scratch_folder("warm-start") as scratch, self._graph.as_default():
            prefix = self._fetch_warm_start(uri, scratch)
            restore_by_name(self._session, prefix, group_by_saved_name(self._training.weights))
        self._session.run(self._training.start_averages)
        logger.info("weights taken from %s", uri)

    def _train_step(self, features: Any, labels: Any) -> Any:
        graph = self._training
        feed = graph.train.feed(features, labels)
        _, loss = self._session.run((graph.train_step, graph.train.loss), feed)
        self._current_step += 1
        return loss

    def _measure(self) -> Mapping[str, float]:
        metrics = self._evaluate(self._training.evaluated)
        if self._training.averaged is not None:
            averaged = self._evaluate(self._training.averaged)
            metrics |= {f"average_{name}": value for name, value in averaged.items()}
        return metrics

    def _save(self, step: int) -> None:
        self._folder.checkpoints.mkdir(parents=True, exist_ok=True)
        prefix = str(self._folder.checkpoints / "ckpt")
        with self._graph.as_default():
            self._saver.save(self._session, prefix, global_step=step, write_meta_graph=False)


class SessionEvaluator(Evaluator):
    """Evaluates networks of one graph; the metrics are outside of it."""

    def __init__(self, definition: GraphFunctionDefinition, events: Path, session: Any) -> None:
        super().__init__(definition, events)
        self._session = session

    def _updater(self, network: Drawing) -> Any:
        def update(features: Any, labels: Any) -> None:
            feed = network.feed(features, labels)
            loss, outputs = self._session.run((network.loss, network.outputs), feed)
            rows = len(tf.nest.flatten(labels)[0])
            self._metrics["loss"].update_state(loss, sample_weight=rows)
            for name in self._metrics.keys() - {"loss"}:
                self._metrics[name].update_state(labels, outputs)

        return update
