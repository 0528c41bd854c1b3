"""Choose the trainer for a definition and its devices, and the folder of a worker."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from redraw.definition import GraphFunctionDefinition, ModelDefinition
from redraw.errors import InvalidDefinition
from redraw.records import TrainingRun
from redraw.requests import TrainRequest
from redraw.runs.bucket import open_run_folder
from redraw.runs.folder import RunFolder
from redraw.storage.scratch import scratch_folder
from redraw.train.cluster import Cluster, read_cluster
from redraw.train.graph_loop import GraphTrainer
from redraw.train.keras_loop import Trainer
from redraw.train.step_loop import StepLoop
from redraw.uri import Uri


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The devices and the folder of one process of a training.

    Attributes:
        cluster: Its place among the workers.
        strategy: The strategy that keeps replicas equal; None for a single replica.
    """

    cluster: Cluster
    strategy: Any = None

    @contextlib.contextmanager
    def folder(self, out: Uri) -> Iterator[RunFolder]:
        """The run's folder; for a worker that is not the chief, a scratch folder of the same name."""
        if self.cluster.leads:
            with open_run_folder(out, "train") as folder:
                yield folder
            return
        with scratch_folder("worker") as scratch:
            yield RunFolder(scratch / out.name)

    def trainer(self, definition: ModelDefinition, folder: RunFolder, run: TrainingRun) -> StepLoop:
        """The training loop for the definition."""
        if isinstance(definition, GraphFunctionDefinition):
            return GraphTrainer(definition, folder, run)
        if self.strategy is None:
            return Trainer(definition, folder, run)
        from redraw.train.distributed import DistributedTrainer

        return DistributedTrainer(definition, folder, run, self.strategy, self.cluster)


def place_training(request: TrainRequest, definition: ModelDefinition) -> Placement:
    """Find the placement of this process; call it before any other operation of TensorFlow.

    Args:
        request: Its distribution overrides that of the definition's plan.
        definition: The model.

    Raises:
        InvalidDefinition: The model cannot be trained with that distribution.
        InvalidRequest: `multi_worker` without a valid `TF_CONFIG`.
        WorkerLost: Another worker does not answer.
    """
    distribution = request.distribution or definition.training.distribution
    _demand_possible(request.model, definition, distribution)
    if distribution == "none":
        return Placement(cluster=Cluster())
    from redraw.train.distributed import make_strategy

    cluster = read_cluster(os.environ) if distribution == "multi_worker" else Cluster()
    return Placement(cluster=cluster, strategy=make_strategy(cluster))


def _demand_possible(model: str, definition: ModelDefinition, distribution: str) -> None:
    plan = definition.training
    if distribution != "none" and plan.jit_compile:
        # An XLA graph cannot contain communication of replicas, such as for a layer's statistics; not tried.
        raise InvalidDefinition(
            f"{model}: expected distribution none, because the training plan sets jit_compile, got"
            f" {distribution}. Unset jit_compile, or train with --distribution none."
        )
    special = distribution != "none" or plan.jit_compile or plan.mixed_precision is not None
    if special and isinstance(definition, GraphFunctionDefinition):
        raise InvalidDefinition(
            f"{model}: expected distribution none without jit_compile and mixed_precision for a TF1 graph"
            f" function, got {distribution}, {plan}. Correct the training plan."
        )
