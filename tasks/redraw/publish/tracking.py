"""Log a published version to MLflow: a run, a registered version, and the alias of what is live.

    release record ─► run: parameters, metrics, tags     live pointer ─► alias `live`
                  └─► registered version: URI, digest

All of it is found again by the version's URI and digest, so that asking twice makes nothing twice.
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
# Where MLflow would write to itself, by libraries that its client does not bring.
_STORES = {"", "file", "sqlite", "postgresql", "postgres", "mysql", "mariadb", "mssql", "oracle"}
# MLflow's own settings, as far as nobody sets them: by default it tries for minutes, and reports its use.
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
    scheme = uri.partition(":")[0].partition("+")[0].strip().lower()
    if scheme in _STORES or (":" not in uri and scheme != "databricks"):
        raise InvalidSetting(
            "MLFLOW_TRACKING_URI: expected the URI of an MLflow server, got that of a file or a database."
            " Start a server for it: mlflow server --backend-store-uri URI."
        )
    try:
        return urlsplit(uri).hostname or "MLFLOW_TRACKING_URI"
    except ValueError as err:
        raise InvalidSetting(
            "MLFLOW_TRACKING_URI: expected the URI of an MLflow server, got another text. Correct it."
        ) from err


@contextmanager
def _errors_of(server: str) -> Iterator[None]:
    from google.protobuf.json_format import ParseError
    from mlflow.exceptions import MlflowException, RestException

    try:
        yield
    except ParseError as err:
        raise _unavailable(server, "none of MLflow's") from err
    except MlflowException as err:
        said = isinstance(err, RestException)
        if err.error_code in _CAN_PASS:
            other = f"the error {err.error_code}" if said else "none of MLflow's"
            raise _unavailable(server, _origin(err) or other) from err
        # Any other message may hold the whole URI.
        raise TrackingRefused(
            f"MLflow at {server}: expected it to take the version, got"
            f" {one_line(err, 300).rstrip('.') if said else err.error_code}. The publication stands. See"
            " MLFLOW_TRACKING_URI and its credentials."
        ) from err


def _origin(err: BaseException) -> str:
    """The kind of the error that an error comes of, such as `ConnectionRefusedError`; empty without one."""
    name = ""
    while following := err.__cause__ or err.__context__:
        err, name = following, type(following).__name__
    return name


def _unavailable(server: str, got: str) -> TrackingUnavailable:
    return TrackingUnavailable(
        f"MLflow at {server}: expected an answer, got {got}: the publication stands. See whether the server"
        " is up, and run it again."
    )


def _register(client: MlflowClient, release: Release) -> ModelVersion:
    """The registered version of a release, with its run: those that are there, or new ones."""
    from mlflow.exceptions import MlflowException

    for tries_left in range(_TRIES, 0, -1):
        try:
            return _registered_once(client, release)
        except MlflowException as err:
            # Another one logs the same at the same time, or somebody deletes it.
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
    found = _registered(client, release)
    if not found:
        made = client.create_model_version(
            name=release.model,
            source=str(release.uri),
            run_id=complete_run(client, experiment, release),
            tags=identity(release),
            description=f"Version {release.version}, digest {release.digest}",
            await_creation_for=0,
        )
        found = _registered(client, release) or [made]
    # Several are made at once, and by a request that MLflow's client repeats. The first stays, with its run.
    first, *others = found
    for other in others:
        client.delete_model_version(release.model, other.version)
    _keep_run(client, experiment, release, first)
    return first


def _keep_run(client: MlflowClient, experiment: str, release: Release, version: ModelVersion) -> None:
    """Let a registered version's run be there, and be the only one."""
    from mlflow.exceptions import MlflowException

    runs = find_runs(client, experiment, release)
    for other in set(runs) - {version.run_id}:
        client.delete_run(other)
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
    found = client.search_model_versions(f"name = '{release.model}'", max_results=10_000)
    ours = [one for one in found if identity(release).items() <= one.tags.items()]
    return sorted(ours, key=lambda one: int(one.version))


def _experiment(client: MlflowClient, name: str) -> str:
    from mlflow.exceptions import MlflowException

    if found := client.get_experiment_by_name(name):
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
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
