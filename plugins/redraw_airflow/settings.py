"""Settings of the Airflow side, and Airflow's configuration as a source of all settings.

A value comes from the environment variable `REDRAW_<NAME>`, then from the option of that name in section
`[redraw]` of Airflow's configuration (`AIRFLOW__REDRAW__<NAME>` is the same), then from its default. This
module adds the configuration as a source for the engine's settings in the same process, too.

Airflow imports this module while it reads its configuration, so nothing of Airflow is imported here before a
setting is read.
"""

from __future__ import annotations

import configparser
import re
import sys
from pathlib import Path
from typing import Any

from redraw.errors import InvalidName
from redraw.settings import (
    CACHE,
    MODELS,
    NAMES,
    PASSPORT,
    RECOMMENDER_PARTS,
    RECOMMENDER_ROWS,
    SCRATCH,
    SCRATCH_BYTES,
    SERVERS,
    STORAGE_TIMEOUT,
    STORAGE_TOKEN,
    TEXT,
    TRUTH,
    USER_PROJECT,
    VERIFY_KEY,
    WEBHOOKS,
    Kind,
    Setting,
    use_configuration,
    use_definition_folders,
    whole_number,
)
from redraw.uri import Uri
from redraw_airflow.compat import airflow_configuration, bundle_folders

__all__ = [
    "AIRFLOW_PORT",
    "ALLOWED_BUCKETS",
    "ALLOWED_CATALOGUES",
    "ALLOWED_SERVERS",
    "ALLOWED_WORK",
    "CHECKPOINTS",
    "DEFAULT_CONNECTION",
    "GCS_PORT",
    "LAUNCHER",
    "MARK_DAG",
    "MODEL_BUCKET",
    "PRUNE_DAG",
    "PUBLISHING_DAGS",
    "PYTHON",
    "REEXPORT_DAG",
    "REPORTS",
    "REQUEST_VARIABLE",
    "ROLL_BACK_DAG",
    "SECTION",
    "SETTINGS",
    "STATE",
    "TENSORBOARD",
    "TENSORFLOW_QUEUE",
    "TRY_IT",
    "VALIDATE_DAG",
    "WEB_CONNECTION",
    "WORK",
    "airflow_option",
]

SECTION = "redraw"
DEFAULT_CONNECTION = "google_cloud_default"
# What a pod's stage is asked; no setting, and never set by hand.
REQUEST_VARIABLE = "REDRAW_REQUEST"


def airflow_option(name: str) -> str | None:
    """The text of an option of `[redraw]`; None if it is not set, or if this process is none of Airflow's."""
    if "airflow" not in sys.modules:
        return None
    conf = airflow_configuration()
    try:
        text: str | None = conf.get(SECTION, name, fallback=None)
    except configparser.InterpolationError:  # a lone % in airflow.cfg is taken as it stands
        text = conf.get(SECTION, name, fallback=None, raw=True)
    return text


use_configuration(airflow_option)
use_definition_folders(bundle_folders)


def _parse_bucket(text: str) -> str:
    if not re.fullmatch(r"gs://[a-z0-9]\S*", text):
        raise ValueError(text)
    return text


def _parse_launcher(text: str) -> str:
    if text not in {"process", "kubernetes"}:
        raise ValueError(text)
    return text


def _parse_dag_id(text: str) -> str:
    if not re.fullmatch(r"[\w.~-]+", text):
        raise ValueError(text)
    return text


def _parse_places(text: str) -> tuple[str, ...]:
    try:
        places = tuple(Uri(place.strip()) for place in text.split(","))
    except InvalidName as err:
        raise ValueError(text) from err
    if not all(place == "*" or place.is_bucket or place.startswith("/") for place in places):
        raise ValueError(text)
    return places


_PLACES = Kind(expected="absolute paths and gs:// URIs with a comma between them, or *", parse=_parse_places)
_BUCKET = Kind(expected="gs://BUCKET or gs://BUCKET/PREFIX", parse=_parse_bucket)
_LAUNCHER = Kind(expected="process or kubernetes", parse=_parse_launcher)
_DAG_ID = Kind(expected="the id of a DAG", parse=_parse_dag_id)
_PORT = whole_number(1, 65535, expected="a port from 1 to 65535")

MODEL_BUCKET: Setting[str | None] = Setting(
    name="model_bucket",
    kind=_BUCKET,
    default=None,
    description="`gs://` URI that servers load models from",
    unset="none; the form asks",
    example="gs://models",
)
CHECKPOINTS: Setting[str | None] = Setting(
    name="checkpoints",
    kind=TEXT,
    default=None,
    description="`gs://` URI or shared folder of the checkpoint catalogue",
    unset="none; the form asks",
    example="gs://checkpoints",
)
WORK: Setting[str | None] = Setting(
    name="work",
    kind=TEXT,
    default=None,
    description="`gs://` URI, or a folder that all workers share, for what a run's tasks hand on",
    unset="none; it has to be set",
    example="gs://work",
)
REPORTS: Setting[str | None] = Setting(
    name="reports",
    kind=TEXT,
    default=None,
    description="`gs://` URI or shared folder of validations' reports, which the API server reads",
    unset="the work folder",
    example="gs://reports",
)
ALLOWED_BUCKETS: Setting[tuple[str, ...]] = Setting(
    name="allowed_buckets",
    kind=_PLACES,
    default=(),
    description="other model buckets, or folders in them, that a run may name; `*`: any",
    unset="`REDRAW_MODEL_BUCKET` alone; any, if that is not set",
    example="gs://models,gs://staging/models",
)
ALLOWED_CATALOGUES: Setting[tuple[str, ...]] = Setting(
    name="allowed_catalogues",
    kind=_PLACES,
    default=(),
    description="other catalogues and places of checkpoints that a run may name; `*`: any",
    unset="`REDRAW_CHECKPOINTS` alone; any, if that is not set",
    example="gs://checkpoints,/shared/old-checkpoints",
)
ALLOWED_WORK: Setting[tuple[str, ...]] = Setting(
    name="allowed_work",
    kind=_PLACES,
    default=(),
    description="other work folders that a run may name; `*`: any",
    unset="`REDRAW_WORK` alone; any, if that is not set",
    example="gs://work,/shared/work",
)
ALLOWED_SERVERS: Setting[tuple[str, ...]] = Setting(
    name="allowed_servers",
    kind=SERVERS.kind,
    default=(),
    description="other model servers that a run may name; `*`: any",
    unset="`REDRAW_SERVERS` alone",
    example="grpc://models:8500,grpc://staging:8500",
)
TENSORFLOW_QUEUE: Setting[str | None] = Setting(
    name="tensorflow_queue",
    kind=TEXT,
    default=None,
    description="the executor's queue for tasks that need TensorFlow",
    unset="that of all tasks",
    example="gpu",
)
LAUNCHER: Setting[str] = Setting(
    name="launcher",
    kind=_LAUNCHER,
    default="process",
    description="`process`, or `kubernetes`: each stage as a pod",
    unset="`process`",
)
PYTHON: Setting[str | None] = Setting(
    name="python",
    kind=TEXT,
    default=None,
    description="the interpreter that has TensorFlow",
    unset="Airflow's own",
    example="/opt/redraw-tensorflow/bin/python",
)
WEB_CONNECTION: Setting[str] = Setting(
    name="web_connection",
    kind=TEXT,
    default=DEFAULT_CONNECTION,
    description="of the API server: the connection that its pages read the buckets by",
    unset=f"`{DEFAULT_CONNECTION}`",
)
TRY_IT: Setting[bool] = Setting(
    name="try_it",
    kind=TRUTH,
    default=False,
    description="of the API server: `1` lets those who may trigger a run ask a published version",
    unset="off, but in `make run`",
)
TENSORBOARD: Setting[str | None] = Setting(
    name="tensorboard",
    kind=TEXT,
    default=None,
    description="URL of a training's curves, a link on its task; `{model}`, `{run}`, `{uri}` are filled in",
    unset="none; there is no link",
    example="https://board.example/?regexInput={run}#timeseries",
)
PUBLISHING_DAGS: Setting[tuple[str, ...]] = Setting(
    name="publishing_dags",
    kind=NAMES,
    default=("retrain_and_export",),
    description="of the API server: ids of the DAGs that publish; the pages ask for rights on them",
    unset="`retrain_and_export`",
    example="retrain_and_export,nightly",
)
MARK_DAG: Setting[str] = Setting(
    name="mark_dag",
    kind=_DAG_ID,
    default="mark_version",
    description="of the API server: id of the DAG that the pages' buttons for labels and pins start",
    unset="`mark_version`",
)
PRUNE_DAG: Setting[str] = Setting(
    name="prune_dag",
    kind=_DAG_ID,
    default="prune_versions",
    description="of the API server: id of the DAG that the pages' button to prune starts",
    unset="`prune_versions`",
)
ROLL_BACK_DAG: Setting[str] = Setting(
    name="roll_back_dag",
    kind=_DAG_ID,
    default="roll_back_model",
    description="of the API server: id of the DAG that the pages' button to roll back starts",
    unset="`roll_back_model`",
)
REEXPORT_DAG: Setting[str] = Setting(
    name="reexport_dag",
    kind=_DAG_ID,
    default="reexport_checkpoints",
    description="of the API server: id of the DAG that exports checkpoints again",
    unset="`reexport_checkpoints`",
)

VALIDATE_DAG: Setting[str] = Setting(
    name="validate_dag",
    kind=_DAG_ID,
    default="validate_and_publish",
    description="of the API server: id of the DAG that validates a run's export again, and publishes it",
    unset="`validate_and_publish`",
)

STATE: Setting[Path] = Setting(
    name="state",
    kind=Kind(expected="a path", parse=Path),
    default=Path(".redraw"),
    description="of `make run`: the folder of everything that it writes",
    unset="`.redraw` in the checkout",
    configurable=False,
)
AIRFLOW_PORT: Setting[int] = Setting(
    name="airflow_port",
    kind=_PORT,
    default=8080,
    description="of `make run`: the port of Airflow's pages and API",
    unset="8080",
    configurable=False,
)
GCS_PORT: Setting[int] = Setting(
    name="gcs_port",
    kind=_PORT,
    default=4443,
    description="of `make run`: the port of the storage server",
    unset="4443",
    configurable=False,
)

SETTINGS: tuple[Setting[Any], ...] = (
    MODELS,
    MODEL_BUCKET,
    CHECKPOINTS,
    WORK,
    REPORTS,
    ALLOWED_BUCKETS,
    ALLOWED_CATALOGUES,
    ALLOWED_WORK,
    ALLOWED_SERVERS,
    SCRATCH,
    SCRATCH_BYTES,
    TENSORFLOW_QUEUE,
    LAUNCHER,
    PYTHON,
    VERIFY_KEY,
    PASSPORT,
    WEB_CONNECTION,
    TRY_IT,
    CACHE,
    TENSORBOARD,
    SERVERS,
    STORAGE_TIMEOUT,
    USER_PROJECT,
    WEBHOOKS,
    PUBLISHING_DAGS,
    MARK_DAG,
    PRUNE_DAG,
    ROLL_BACK_DAG,
    REEXPORT_DAG,
    VALIDATE_DAG,
    RECOMMENDER_ROWS,
    RECOMMENDER_PARTS,
    STATE,
    AIRFLOW_PORT,
    GCS_PORT,
    STORAGE_TOKEN,
)
