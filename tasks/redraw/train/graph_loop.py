"""Training of TF1 graph functions, in a session, with checkpoints that know variables by name."""

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

    A checkpoint is what `tf.compat.v1.train.Saver` writes (format V2) of all variables:
    `global_step`, the weights, the optimizer's slots as `<weight>/<slot>`, and the averages
    as `<weight>/ExponentialMovingAverage`.

    Args:
        definition: The model.
        folder: Where checkpoints and metrics go.
        run: The run's record; its name seeds the weights, so that another run starts elsewhere.

    Raises:
        InvalidDefinition: The graph cannot be drawn.
    """

    def __init__(self, definition: GraphFunctionDefinition, folder: RunFolder, run: TrainingRun) -> None:
        super().__init__(definition, folder)
        specs = self._spec("training_data"), self._spec("evaluation_data")
        self._graph = tf.Graph()
        with self._graph.as_default():
            tf.compat.v1.set_random_seed(zlib.crc32(run.run.encode()))
            self._drawn = draw_training(definition, *specs)
            self._saver = tf.compat.v1.train.Saver(
                max_to_keep=definition.training.keep_checkpoints, save_relative_paths=True
            )
            self._everything = group_by_saved_name(tf.compat.v1.global_variables())
            self._session = tf.compat.v1.Session()
            self._session.run([tf.compat.v1.global_variables_initializer(),
                               tf.compat.v1.local_variables_initializer(),
                               tf.compat.v1.tables_initializer()])  # fmt: skip
        self._at = 0
        self._evaluate = SessionEvaluator(definition, folder.events, self._session)

    @property
    def step(self) -> int:
        """The last step trained."""
        return self._at

    def restore(self, warm_start: Uri | None) -> int:
        """As `StepLoop.restore`."""
        if latest := last_whole_checkpoint(self._folder):
            check_fit(latest, self._everything)
            with self._graph.as_default():
                self._saver.restore(self._session, str(latest))
            self._saver.recover_last_checkpoints(self._saved_before())
            self._at = int(self._session.run(self._drawn.step))
            logger.info("carrying on from %s", latest)
        elif warm_start:
            self._take_weights(warm_start)
        # From here on an operation added by mistake, one a step, would be a leak.
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
        """The run's checkpoints, the oldest first, so that the Saver removes these first."""
        found = [path.with_suffix("") for path in self._folder.checkpoints.glob("ckpt-*.index")]
        return [str(path) for path in sorted(found, key=lambda path: int(path.name.removeprefix("ckpt-")))]

    def _take_weights(self, uri: Uri) -> None:
        with scratch_folder("warm-start") as scratch, self._graph.as_default():
            prefix = self._fetch_warm_start(uri, scratch)
            restore_by_name(self._session, prefix, group_by_saved_name(self._drawn.weights))
        self._session.run(self._drawn.start_averages)
        logger.info("weights taken from %s", uri)

    def _train_step(self, features: Any, labels: Any) -> Any:
        drawn = self._drawn
        feed = drawn.train.feed(features, labels)
        _, loss = self._session.run((drawn.train_step, drawn.train.loss), feed)
        self._at += 1
        return loss

    def _measure(self) -> Mapping[str, float]:
        metrics = self._evaluate(self._drawn.evaluated)
        if self._drawn.averaged is not None:
            averaged = self._evaluate(self._drawn.averaged)
            metrics |= {f"average_{name}": value for name, value in averaged.items()}
        return metrics

    def _save(self, step: int) -> None:
        self._folder.checkpoints.mkdir(parents=True, exist_ok=True)
        prefix = str(self._folder.checkpoints / "ckpt")
        with self._graph.as_default():
            self._saver.save(self._session, prefix, global_step=step, write_meta_graph=False)


class SessionEvaluator(Evaluator):
    """Evaluates drawings of one graph; the metrics themselves stay outside of it."""

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
