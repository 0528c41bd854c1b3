"""Read from `TF_CONFIG` which of the training's workers this process is, without TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from redraw.errors import InvalidRequest


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The place of a process among those that train a network together.

    Attributes:
        workers: The number of processes that train, including this one.
        index: The number of this process, in [0, workers).
    """

    workers: int = 1
    index: int = 0

    @property
    def leads(self) -> bool:
        """Whether this is the chief: only it reads and writes the run's folder."""
        return self.index == 0


def read_cluster(environment: Mapping[str, str]) -> Cluster:
    """Read `TF_CONFIG`.

    Args:
        environment: The process's environment variables.

    Returns:
        This process's place; the chief comes first, or worker 0 if there is no chief.

    Raises:
        InvalidRequest: It is missing, not JSON, or has no place among chief and workers.

    Source:
        https://www.tensorflow.org/guide/distributed_training, "Setting up the TF_CONFIG environment variable"
    """
    text = environment.get("TF_CONFIG", "")
    try:
        config = json.loads(text)
        sizes = {kind: len(addresses) for kind, addresses in config["cluster"].items()}
        kind, index = config["task"]["type"], int(config["task"]["index"])
    except (ValueError, TypeError, KeyError, AttributeError) as err:
        raise _invalid(text) from err
    fits = set(sizes) <= {"chief", "worker"} and sizes.get("chief", 0) <= 1
    if not fits or not 0 <= index < sizes.get(kind, 0):
        raise _invalid(text)
    before = sizes.get("chief", 0) if kind == "worker" else 0
    return Cluster(workers=sum(sizes.values()), index=before + index)


def _invalid(text: str) -> InvalidRequest:
    return InvalidRequest(
        "train request: distribution multi_worker: expected TF_CONFIG with a cluster of workers (and at"
        f" most one chief) and with the task of this process, got {text!r:.200}. Set TF_CONFIG in each"
        " worker's environment."
    )
