"""Log a published version to MLflow: a run, a registered version, and the alias of what is live.

    release record ─► run: parameters, metrics, tags     live pointer ─► alias `live`
                  └─► registered version: URI, digest

All of it is found again by the version's URI and digest, so that asking twice makes nothing twice.
"""

from __future__ import annotations

import logging
import os
import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from redraw.errors import InvalidSetting, TrackingRefused, TrackingUnavailable, VersionNotFound, one_line
from redraw.publish.bucket.verified import read_verified
from redraw.publish.live.pointer import read_pointer
from redraw.records import Release
from redraw.records.results import LoggedVersion
from redraw.requests import LogToMlflowRequest
from redraw.storage.opening import Storage, open_storage

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

_logger = logging.getLogger(__name__)

_ALIAS = "live"
_FOLLOWED = _TRIES = 5
_LONGEST_NAME = 250
# MLflow's own settings, as far as nobody sets them: by default it tries for minutes, and reports its use.
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_CAN_PASS = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"}


def log_to_mlflow(request: LogToMlflowRequest) -> LoggedVersion:
    """Log a version, and let the alias `live` name the version that is live.

    `MLFLOW_TRACKING_URI` names the server; MLflow takes its credentials from the environment.

    Args:
        request: The model, its bucket, and the version.

    Returns:
        The run and the registered version.

    Raises:
        VersionNotFound: The version was never published, or is pruned; or none is live.
        VerificationFailed: Its records contradict each other.
        SignatureInvalid: A public key is configured, and the version is not signed with its private one.
        InvalidSetting: No server is named.
        TrackingUnavailable: The server does not answer.
        TrackingRefused: The server does not take it.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    storage = open_storage(request.bucket)
    version = request.version or read_pointer(storage, request.model).version
    if version is None:
        raise VersionNotFound(
            f"{storage.uri}/{request.model}: expected a live version, got none. Name one with --version."
        )
    release = read_verified(storage, request.model, version)[0]
    with _errors_of(_server()):
        from mlflow import MlflowClient

        client = MlflowClient()
        registered = _register(client, release)
        live = _follow_pointer(client, storage, release, registered)
    _logger.info("logged %s: %s version %s", release.uri, request.model, registered.version)
    return LoggedVersion(
        model=release.model,
        version=release.version,
        uri=release.uri,
        digest=release.digest,
        run=registered.run_id or "",
        registered=int(registered.version),
        live=live,
    )


def _server() -> str:
    """The server's host, for messages; its URI may hold a password."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    # It warns of each try; the error says it once.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        raise InvalidSetting(
            "MLFLOW_TRACKING_URI: expected the URI of an MLflow server, got none. Set it for the command."
        )
    try:
        return urlsplit(uri).hostname or "MLFLOW_TRACKING_URI"
    except ValueError as err:
        raise InvalidSetting(
            "MLFLOW_TRACKING_URI: expected the URI of an MLflow server, got another text. Correct it."
        ) from err


@contextmanager
def _errors_of(server: str) -> Iterator[None]:
    from mlflow.exceptions import MlflowException, RestException

    try:
        yield
    except MlflowException as err:
        if err.error_code in _CAN_PASS:
            raise TrackingUnavailable(
                f"MLflow at {server}: expected an answer, got {type(err.__cause__ or err).__name__}: the"
                " publication stands. See whether the server is up, and run it again."
            ) from err
        # Any other message may hold the whole URI.
        said = f": {one_line(err, 300)}" if isinstance(err, RestException) else ""
        raise TrackingRefused(
            f"MLflow at {server}: expected it to take the version, got {err.error_code}{said}. The"
            " publication stands. See MLFLOW_TRACKING_URI and its credentials."
        ) from err


def _register(client: MlflowClient, release: Release) -> ModelVersion:
    """The registered version of a release: the one that is there, or a new one with its run."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(release.model)
    except MlflowException as err:
        if err.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    if found := _registered(client, release):
        return found[0]
    run = _run(client, release)
    made = client.create_model_version(
        name=release.model,
        source=str(release.uri),
        run_id=run,
        tags=_identity(release),
        description=f"Version {release.version}, digest {release.digest}",
        await_creation_for=0,
    )
    # Of several that are made at once the first stays, with its run.
    first, *_ = _registered(client, release) or [made]
    if first.version != made.version:
        client.delete_model_version(release.model, made.version)
    if first.run_id != run:
        client.delete_run(run)
    return first


def _registered(client: MlflowClient, release: Release) -> list[ModelVersion]:
    found = client.search_model_versions(f"name = '{release.model}'", max_results=10_000)
    ours = [one for one in found if _identity(release).items() <= one.tags.items()]
    return sorted(ours, key=lambda one: int(one.version))


def _run(client: MlflowClient, release: Release) -> str:
    """The id of the run of a release, complete."""
    experiment = _experiment(client, release.model)
    runs = _runs(client, experiment, release)
    if not runs:
        tags = {
            **_identity(release),
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
    from mlflow.exceptions import MlflowException

    moment, step = _milliseconds(release.checkpoint.trained_at), release.checkpoint.step
    metrics = {**release.checkpoint.metrics, "size_bytes": float(release.size_bytes)}
    logged = [
        Metric(_metric_name(name), value, moment, step)
        for name, value in metrics.items()
        if value is not None
    ]
    params = [Param(name, str(value)) for name, value in _parameters(release).items()]
    for tries_left in range(_TRIES, 0, -1):
        try:
            client.log_batch(run, metrics=logged, params=params)
            return
        except MlflowException as err:
            # Another one writes the same at the same time.
            if err.error_code != "BAD_REQUEST" or tries_left == 1:
                raise


def _metric_name(name: str) -> str:
    """A metric's name as MLflow takes it: no other marks, and no path that another one could be, too."""
    found = re.sub(r"[^\w.\- :/]", "_", name)[:_LONGEST_NAME]
    return found if posixpath.normpath(f"a/{found}") == f"a/{found}" else re.sub("[./]", "_", found)


def _runs(client: MlflowClient, experiment: str, release: Release) -> list[str]:
    wanted = " and ".join(f"tags.`{name}` = '{value}'" for name, value in _identity(release).items())
    found = client.search_runs([experiment], wanted)
    return sorted(run.info.run_id for run in found)


def _experiment(client: MlflowClient, name: str) -> str:
    from mlflow.exceptions import MlflowException

    if found := client.get_experiment_by_name(name):
        return str(found.experiment_id)
    try:
        return client.create_experiment(name)
    except MlflowException as err:
        if err.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return _experiment(client, name)


def _follow_pointer(
    client: MlflowClient, storage: Storage, release: Release, registered: ModelVersion
) -> int | None:
    """Let the alias name the live version, which is registered if it is not yet; returns its number."""
    number: int | None = None
    for _ in range(_FOLLOWED):
        live = read_pointer(storage, release.model).version
        if live is None:
            return None
        if live != release.version:
            registered = _register(client, read_verified(storage, release.model, live)[0])
        number = int(registered.version)
        aliases = client.get_registered_model(release.model).aliases
        if str(aliases.get(_ALIAS)) != str(number):
            client.set_registered_model_alias(release.model, _ALIAS, str(number))
        if read_pointer(storage, release.model).version == live:
            break
    return number


def _identity(release: Release) -> dict[str, str]:
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
