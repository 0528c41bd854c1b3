"""Log a published version to MLflow: a run, a registered version, and the alias of the live version.

    release record ─► run: parameters, metrics, tags     live pointer ─► alias `live`
                  └─► registered version: URI, digest

Run and registered version are found again by the version's URI and digest, so that a second call adds
nothing.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from redraw.errors import InvalidSetting, TrackingRefused, TrackingUnavailable, VersionNotFound, one_line
from redraw.publish.bucket.verified import read_verified
from redraw.publish.live.pointer import read_pointer
from redraw.publish.tracking_run import complete_run, find_runs, identity
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
# Schemes of stores that MLflow would write to directly, with libraries that its client does not install.
_STORES = {"", "file", "sqlite", "postgresql", "postgres", "mysql", "mariadb", "mssql", "oracle"}
# Defaults for MLflow's own settings: without them it retries for minutes, and reports its use.
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_CHANGED_MEANWHILE = {"BAD_REQUEST", "INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"}
_CAN_PASS = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"}


def log_to_mlflow(request: LogToMlflowRequest) -> LoggedVersion:
    """Log a version, and set the alias `live` to the live version.

    `MLFLOW_TRACKING_URI` names the server; MLflow takes its credentials from the environment.

    Args:
        request: The model, its bucket, and the version.

    Returns:
        The run and the registered version.

    Raises:
        VersionNotFound: The version was never published, or is pruned; or none is live.
        VerificationFailed: Its records contradict each other.
        SignatureInvalid: A public key is configured, and the version is not signed with its private key.
        InvalidSetting: No server is configured.
        TrackingUnavailable: The server does not answer.
        TrackingRefused: The server refuses it.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    storage = open_storage(request.bucket)
    version = request.version or read_pointer(storage, request.model).version
    if version is None:
        raise VersionNotFound(
            f"{storage.uri}/{request.model}: expected a live version, found none. Name a version with"
            " --version."
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
    # urllib3 warns of each try; the error is enough.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        raise InvalidSetting(
            "MLFLOW_TRACKING_URI: expected the URI of an MLflow server, got none. Set MLFLOW_TRACKING_URI"
            " in the environment of the command."
        )
    scheme = uri.partition(":")[0].partition("+")[0].strip().lower()
    if scheme in _STORES or (":" not in uri and scheme != "databricks"):
        raise InvalidSetting(
            "MLFLOW_TRACKING_URI: expected the URI of an MLflow server, got the URI of a file or a"
            " database. Start a server: mlflow server --backend-store-uri URI."
        )
    try:
        return urlsplit(uri).hostname or "MLFLOW_TRACKING_URI"
    except ValueError as err:
        raise InvalidSetting(
            "MLFLOW_TRACKING_URI: expected the URI of an MLflow server (https://HOST), got another text."
            " Correct the variable."
        ) from err


@contextmanager
def _errors_of(server: str) -> Iterator[None]:
    from google.protobuf.json_format import ParseError
    from mlflow.exceptions import MlflowException, RestException

    try:
        yield
    except ParseError as err:
        raise _unavailable(server, "an answer that is not from MLflow") from err
    except MlflowException as err:
        is_reply = isinstance(err, RestException)
        if err.error_code in _CAN_PASS:
            fallback = f"the error {err.error_code}" if is_reply else "an answer that is not from MLflow"
            raise _unavailable(server, _origin(err) or fallback) from err
        # Any other message may hold the whole URI.
        raise TrackingRefused(
            f"MLflow at {server}: the server refused the version:"
            f" {one_line(err, 300).rstrip('.') if is_reply else err.error_code}. The version stays"
            " published. Check MLFLOW_TRACKING_URI and its credentials."
        ) from err


def _origin(err: BaseException) -> str:
    """The type of an error's first cause, such as `ConnectionRefusedError`; empty if it has none."""
    name = ""
    while following := err.__cause__ or err.__context__:
        err, name = following, type(following).__name__
    return name


def _unavailable(server: str, got: str) -> TrackingUnavailable:
    return TrackingUnavailable(
        f"MLflow at {server}: expected an answer, got {got}. The version stays published. Start the server,"
        " then run the same command again."
    )


def _register(client: MlflowClient, release: Release) -> ModelVersion:
    """The registered version of a release, with its run: existing or new."""
    from mlflow.exceptions import MlflowException

    for tries_left in range(_TRIES, 0, -1):
        try:
            return _registered_once(client, release)
        except MlflowException as err:
            # Another process logs the same version at the same time, or deletes it.
            if err.error_code not in _CHANGED_MEANWHILE or tries_left == 1:
                raise
    raise AssertionError("a loop that returns or raises")


def _registered_once(client: MlflowClient, release: Release) -> ModelVersion:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(release.model)
    except MlflowException as err:
        if err.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    experiment = _experiment(client, release.model)
    versions = _registered(client, release)
    if not versions:
        created = client.create_model_version(
            name=release.model,
            source=str(release.uri),
            run_id=complete_run(client, experiment, release),
            tags=identity(release),
            description=f"Version {release.version}, digest {release.digest}",
            await_creation_for=0,
        )
        versions = _registered(client, release) or [created]
    # Parallel calls, or requests that MLflow's client repeats, may create several. The first stays.
    first, *duplicates = versions
    for duplicate in duplicates:
        client.delete_model_version(release.model, duplicate.version)
    _keep_run(client, experiment, release, first)
    return first


def _keep_run(client: MlflowClient, experiment: str, release: Release, version: ModelVersion) -> None:
    """Restore a registered version's run if it is deleted, and delete any other run of the release."""
    from mlflow.exceptions import MlflowException

    runs = find_runs(client, experiment, release)
    for duplicate in set(runs) - {version.run_id}:
        client.delete_run(duplicate)
    if version.run_id in runs:
        return
    try:
        client.restore_run(str(version.run_id))
    except MlflowException as err:
        if err.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        _logger.warning(
            "registered version %s: its run %s is deleted for good", version.version, version.run_id
        )


def _registered(client: MlflowClient, release: Release) -> list[ModelVersion]:
    versions = client.search_model_versions(f"name = '{release.model}'", max_results=10_000)
    matching = [version for version in versions if identity(release).items() <= version.tags.items()]
    return sorted(matching, key=lambda version: int(version.version))


def _experiment(client: MlflowClient, name: str) -> str:
    from mlflow.exceptions import MlflowException

    if experiment := client.get_experiment_by_name(name):
        if experiment.lifecycle_stage == "deleted":
            client.restore_experiment(experiment.experiment_id)
        return str(experiment.experiment_id)
    try:
        return client.create_experiment(name)
    except MlflowException as err:
        if err.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return _experiment(client, name)


def _follow_pointer(
    client: MlflowClient, storage: Storage, release: Release, registered: ModelVersion
) -> int | None:
    """Set the alias to the live version, and register that if necessary; returns its number in MLflow."""
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
