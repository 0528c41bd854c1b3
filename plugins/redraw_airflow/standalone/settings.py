"""The state folder and the ports of the embedded default, and the environment of its processes."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from redraw.errors import InvalidSetting
from redraw.settings import CACHE, STORAGE_TOKEN
from redraw.uri import BucketUri
from redraw_airflow.settings import AIRFLOW_PORT, CHECKPOINTS, GCS_PORT, MODEL_BUCKET, STATE, TRY_IT, WORK
from redraw_airflow.standalone.errors import EmbeddedError

HOST = "127.0.0.1"
# Airflow's users and their roles: one may do anything, one may only look.
USERS = {"admin": "admin", "viewer": "viewer"}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One instance of the embedded default.

    Attributes:
        root: The checkout.
        state: The folder of everything that it writes.
        airflow_port: The port of Airflow's UI and REST API.
        gcs_port: The port of the storage server.
        fixed: The services whose ports the environment sets.
    """

    root: Path
    state: Path
    airflow_port: int = AIRFLOW_PORT.default
    gcs_port: int = GCS_PORT.default
    fixed: frozenset[str] = frozenset()

    @property
    def airflow_url(self) -> str:
        """The address of Airflow's UI and REST API."""
        return f"http://{HOST}:{self.airflow_port}"

    @property
    def gcs_url(self) -> str:
        """The address of the storage server."""
        return f"http://{HOST}:{self.gcs_port}"

    @property
    def model_bucket(self) -> BucketUri:
        """The bucket of published versions."""
        return BucketUri("gs://redraw-models")

    @property
    def checkpoint_bucket(self) -> BucketUri:
        """The bucket of the checkpoint catalogue."""
        return BucketUri("gs://redraw-checkpoints")

    @property
    def passwords(self) -> Path:
        """The file of Airflow's users and their passwords."""
        return self.state / "passwords.json"

    @property
    def token_file(self) -> Path:
        """The file of the storage server's token."""
        return self.state / "storage-token"

    @property
    def logs(self) -> Path:
        """The folder of the services' logs."""
        return self.state / "logs"


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings from environment variables.

    Args:
        environment: The variables `REDRAW_STATE` (default `.redraw` in the checkout), `REDRAW_AIRFLOW_PORT`
            (8080) and `REDRAW_GCS_PORT` (4443).

    Raises:
        EmbeddedError: A setting is malformed.
    """
    root = Path(__file__).resolve().parents[3]
    ports = {"airflow": AIRFLOW_PORT, "gcs": GCS_PORT}
    try:
        return Settings(
            root=root,
            state=root / STATE.read(environment),
            airflow_port=AIRFLOW_PORT.read(environment),
            gcs_port=GCS_PORT.read(environment),
            fixed=frozenset(service for service, port in ports.items() if port.find(environment)),
        )
    except InvalidSetting as err:
        raise EmbeddedError(str(err)) from err


def read_token(settings: Settings) -> str:
    """The storage server's token, generated at the first call; only its owner may read the file."""
    settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(settings.token_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return settings.token_file.read_text()
    with open(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(32))
    return settings.token_file.read_text()


def stage_environment(settings: Settings) -> dict[str, str]:
    """The environment that a stage needs to reach this instance's buckets."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW_")}
    folders = (settings.root, settings.root / "tasks", settings.root / "plugins")
    paths = [*map(str, folders), os.environ.get("PYTHONPATH", "")]
    direct = [os.environ.get("NO_PROXY", ""), HOST, "localhost"]
    return inherited | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "STORAGE_EMULATOR_HOST": settings.gcs_url,
        STORAGE_TOKEN.variable: read_token(settings),
        # A user's proxy cannot reach this machine's loopback.
        "NO_PROXY": ",".join(filter(None, direct)),
        "no_proxy": ",".join(filter(None, direct)),
        MODEL_BUCKET.variable: settings.model_bucket,
        CHECKPOINTS.variable: settings.checkpoint_bucket,
        WORK.variable: str(settings.state / "work"),
        CACHE.variable: str(settings.state / "cache"),
    }


def airflow_environment(settings: Settings) -> dict[str, str]:
    """The environment of Airflow's components, without the user's own AIRFLOW variables.

    Source:
        https://airflow.apache.org/docs/apache-airflow/stable/configurations-ref.html
    """
    home = settings.state / "airflow"
    environment = stage_environment(settings)
    # Stages get the storage server's token like other credentials: from the connection, over their socket.
    connection = {
        "conn_type": "google_cloud_platform",
        "password": environment.pop(STORAGE_TOKEN.variable),
        "extra": {"is_anonymous": True, "project": "redraw"},
    }
    options = {
        "CORE__DAGS_FOLDER": settings.root / "dags",
        "CORE__PLUGINS_FOLDER": settings.root / "plugins",
        "CORE__LOAD_EXAMPLES": False,
        "CORE__EXECUTOR": "LocalExecutor",
        # Each slot is a forked process: the default of 32 takes 3 GB and half a minute.
        "CORE__PARALLELISM": 4,
        "CORE__EXECUTION_API_SERVER_URL": f"{settings.airflow_url}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user}:{role}" for user, role in USERS.items()),
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": settings.passwords,
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "API__HOST": HOST,
        "API__PORT": settings.airflow_port,
        "API__BASE_URL": settings.airflow_url,
        "API__WORKERS": 1,
        "DAG_PROCESSOR__REFRESH_INTERVAL": 30,
        "DAG_PROCESSOR__PARSING_PROCESSES": 1,
        "USAGE_DATA_COLLECTION__ENABLED": False,
    }
    return environment | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": json.dumps(connection, allow_nan=False),
        # The user owns this machine.
        TRY_IT.variable: "1",
        **{f"AIRFLOW__{name}": str(value) for name, value in options.items()},
    }
