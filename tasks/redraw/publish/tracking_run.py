"""The run of a release in MLflow: its parameters, metrics and tags."""

from __future__ import annotations

import posixpath
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from redraw.records import Release

if TYPE_CHECKING:
    from mlflow import MlflowClient

_LONGEST_NAME = 250


def complete_run(client: MlflowClient, experiment: str, release: Release) -> str:
    """Create or complete the run of a release; returns its id."""
    runs = find_runs(client, experiment, release)
    if not runs:
        tags = {
            **identity(release),
            "mlflow.source.name": "redraw",
            "mlflow.user": release.provenance.asked_by,
        }
        name = f"{release.model} {release.version}"
        runs = [client.create_run(experiment, _milliseconds(release.pushed_at), tags, name).info.run_id]
    _fill(client, runs[0], release)
    client.set_terminated(runs[0], "FINISHED", _milliseconds(release.pushed_at))
    return runs[0]


def _fill(client: MlflowClient, run: str, release: Release) -> None:
    """Write a run's parameters and metrics; existing ones have the same values."""
    from mlflow.entities import Metric, Param

    moment, step = _milliseconds(release.checkpoint.trained_at), release.checkpoint.step
    metrics = {**release.checkpoint.metrics, "size_bytes": float(release.size_bytes)}
    logged = [
        Metric(_metric_name(name), value, moment, step)
        for name, value in metrics.items()
        if value is not None
    ]
    client.log_batch(run, logged, [Param(name, str(value)) for name, value in _parameters(release).items()])


def _metric_name(name: str) -> str:
    """A metric's name as MLflow accepts it: only some marks, and no path that resolves to another name."""
    cleaned = re.sub(r"[^\w.\- :/]", "_", name)[:_LONGEST_NAME]
    return cleaned if posixpath.normpath(f"a/{cleaned}") == f"a/{cleaned}" else re.sub("[./]", "_", cleaned)


def find_runs(client: MlflowClient, experiment: str, release: Release) -> list[str]:
    """The ids of the runs of a release that are not deleted."""
    query = " and ".join(f"tags.`{name}` = '{value}'" for name, value in identity(release).items())
    runs = client.search_runs([experiment], query)
    return sorted(run.info.run_id for run in runs)


def identity(release: Release) -> dict[str, str]:
    """The tags by which a run and a registered version are found again."""
    return {"redraw.uri": str(release.uri), "redraw.digest": release.digest}


def _parameters(release: Release) -> dict[str, Any]:
    made_by, checkpoint, provenance = release.provenance.made_by, release.checkpoint, release.provenance
    parameters: dict[str, Any] = {
        "version": release.version,
        "step": checkpoint.step,
        "trained_at": checkpoint.trained_at,
        "weights": release.weights,
        "checkpoint": checkpoint.uri,
        "checkpoint_digest": checkpoint.digest,
        "approved_by": provenance.approved_by,
        "dag_run": provenance.dag_run,
    }
    if made_by is not None:
        parameters |= {
            "definition_digest": made_by.definition_digest,
            "commit": made_by.git_revision,
            "tensorflow": made_by.tensorflow,
            "keras": made_by.keras,
            "redraw": made_by.redraw,
        }
    return {name: value for name, value in parameters.items() if value is not None}


def _milliseconds(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp() * 1000)
