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
    """The id of the run of a release, complete."""
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
    """Write a run's parameters and metrics; those that are there already are the same."""
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
    """A metric's name as MLflow takes it: no other marks, and no path that another one could be, too."""
    found = re.sub(r"[^\w.\- :/]", "_", name)[:_LONGEST_NAME]
    return found if posixpath.normpath(f"a/{found}") == f"a/{found}" else re.sub("[./]", "_", found)


def find_runs(client: MlflowClient, experiment: str, release: Release) -> list[str]:
    """The ids of the runs of a release that are not deleted."""
    wanted = " and ".join(f"tags.`{name}` = '{value}'" for name, value in identity(release).items())
    found = client.search_runs([experiment], wanted)
    return sorted(run.info.run_id for run in found)


def identity(release: Release) -> dict[str, str]:
    """The tags by which a run and a registered version are found again."""
    return {"redraw.uri": str(release.uri), "redraw.digest": release.digest}


def _parameters(release: Release) -> dict[str, Any]:
    made, checkpoint, asked = release.provenance.made_by, release.checkpoint, release.provenance
    found = {
        "version": release.version,
        "step": checkpoint.step,
        "trained_at": checkpoint.trained_at,
        "weights": release.weights,
        "checkpoint": checkpoint.uri,
        "checkpoint_digest": checkpoint.digest,
        "approved_by": asked.approved_by,
        "dag_run": asked.dag_run,
        **(
            {} if made is None else {"definition_digest": made.definition_digest, "commit": made.git_revision}
        ),
        **(
            {}
            if made is None
            else {"tensorflow": made.tensorflow, "keras": made.keras, "redraw": made.redraw}
        ),
    }
    return {name: value for name, value in found.items() if value is not None}


def _milliseconds(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp() * 1000)
