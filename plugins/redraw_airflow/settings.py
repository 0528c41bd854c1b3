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

from redraw import settings as engine
from redraw.errors import InvalidName
from redraw.setting_kinds import (
    NAMES,
    PATH,
    TEXT,
    TRUTH,
    Kind,
    Setting,
    use_configuration,
    use_definition_folders,
    whole_number,
)
from redraw.uri import Uri
from redraw_airflow.compat import airflow_configuration, bundle_folders

SECTION = "redraw"
DEFAULT_CONNECTION = "google_cloud_default"
# The request of a pod's stage; not a setting, and never set by hand.
REQUEST_VARIABLE = "REDRAW_REQUEST"


def airflow_option(name: str) -> str | None:
    """The text of an option of `[redraw]`; None if it is not set, or outside Airflow's processes."""
    if "airflow" not in sys.modules:
        return None
    conf = airflow_configuration()
    try:
        text: str | None = conf.get(SECTION, name, fallback=None)
    except configparser.InterpolationError:  # a lone % in airflow.cfg is read as it is
        text = conf.get(SECTION, name, fallback=None, raw=True)
    return text


use_configuration(airflow_option)
use_definition_folders(bundle_folders)


def _matching(pattern: str, expected: str) -> Kind[str]:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(text)
        return text

    return Kind(expected=expected, parse=parse)


def _parse_places(text: str) -> tuple[str, ...]:
    try:
        places = tuple(Uri(place.strip()) for place in text.split(","))
    except InvalidName as err:
        raise ValueError(text) from err
    if not all(place == "*" or place.is_bucket or place.startswith("/") for place in places):
        raise ValueError(text)
    return places


_PLACES = Kind(expected="absolute paths and gs:// URIs with a comma between them, or *", parse=_parse_places)
_BUCKET = _matching(r"gs://[a-z0-9]\S*", "gs://BUCKET or gs://BUCKET/PREFIX")
_LAUNCHER = _matching("process|kubernetes", "process or kubernetes")
_DAG_ID = _matching(r"[\w.~-]+", "the id of a DAG")
_PORT = whole_number(1, 65535, expected="a port from 1 to 65535")


def _optional(
    name: str, description: str, unset: str, example: str, kind: Kind[str] = TEXT
) -> Setting[str | None]:
    return Setting(name=name, kind=kind, default=None, description=description, unset=unset, example=example)


def _allowed(
    name: str, places: str, unset: str, example: str, kind: Any = _PLACES
) -> Setting[tuple[str, ...]]:
    return Setting(
        name=f"allowed_{name}",
        kind=kind,
        default=(),
        description=f"other {places} that a run may name; `*`: any",
        unset=unset,
        example=example,
    )


def _port(name: str, default: int, of: str) -> Setting[int]:
    return Setting(
        name=f"{name}_port",
        kind=_PORT,
        default=default,
        description=f"of `make run`: the port of {of}",
        unset=str(default),
        configurable=False,
    )


def _dag_setting(action: str, default: str, use: str) -> Setting[str]:
    return Setting(
        name=f"{action}_dag",
        kind=_DAG_ID,
        default=default,
        description=f"of the API server: id of the DAG {use}",
        unset=f"`{default}`",
    )


MODEL_BUCKET = _optional(
    "model_bucket", "`gs://` URI that servers load models from", "none; the form asks", "gs://models", _BUCKET
)
CHECKPOINTS = _optional(
    "checkpoints",
    "`gs://` URI or shared folder of the checkpoint catalogue",
    "none; the form asks",
    "gs://checkpoints",
)
WORK = _optional(
    "work",
    "`gs://` URI, or a folder that all workers share, for what a run's tasks hand on",
    "none; it has to be set",
    "gs://work",
)
REPORTS = _optional(
    "reports",
    "`gs://` URI or shared folder of validations' reports, which the API server reads",
    "the work folder",
    "gs://reports",
)
ALLOWED_BUCKETS = _allowed(
    "buckets",
    "model buckets, or folders in them,",
    "only `REDRAW_MODEL_BUCKET`; any, if that is not set",
    "gs://models,gs://staging/models",
)
ALLOWED_CATALOGUES = _allowed(
    "catalogues",
    "catalogues and places of checkpoints",
    "only `REDRAW_CHECKPOINTS`; any, if that is not set",
    "gs://checkpoints,/shared/old-checkpoints",
)
ALLOWED_WORK = _allowed(
    "work", "work folders", "only `REDRAW_WORK`; any, if that is not set", "gs://work,/shared/work"
)
ALLOWED_SERVERS = _allowed(
    "servers",
    "model servers",
    "only `REDRAW_SERVERS`",
    "grpc://models:8500,grpc://staging:8500",
    engine.SERVERS.kind,
)
TENSORFLOW_QUEUE = _optional(
    "tensorflow_queue", "the executor's queue for tasks that need TensorFlow", "that of all tasks", "gpu"
)
LAUNCHER: Setting[str] = Setting(
    name="launcher",
    kind=_LAUNCHER,
    default="process",
    description="`process`, or `kubernetes`: each stage as a pod",
    unset="`process`",
)
PYTHON = _optional(
    "python", "the interpreter that has TensorFlow", "Airflow's own", "/opt/redraw-tensorflow/bin/python"
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
TENSORBOARD = _optional(
    "tensorboard",
    "URL of a training's curves, a link on its task; `{model}`, `{run}`, `{uri}` are filled in",
    "none; there is no link",
    "https://board.example/?regexInput={run}#timeseries",
)
PUBLISHING_DAGS: Setting[tuple[str, ...]] = Setting(
    name="publishing_dags",
    kind=NAMES,
    default=("retrain_and_export",),
    description="of the API server: ids of the DAGs that publish; the pages ask for rights on them",
    unset="`retrain_and_export`",
    example="retrain_and_export,nightly",
)
MARK_DAG = _dag_setting("mark", "mark_version", "that the pages' buttons for labels and pins start")
PRUNE_DAG = _dag_setting("prune", "prune_versions", "that the pages' button to prune starts")
ROLL_BACK_DAG = _dag_setting("roll_back", "roll_back_model", "that the pages' button to roll back starts")
REEXPORT_DAG = _dag_setting("reexport", "reexport_checkpoints", "that exports checkpoints again")
VALIDATE_DAG = _dag_setting(
    "validate", "validate_and_publish", "that validates a run's export again, and publishes it"
)

STATE: Setting[Path] = Setting(
    name="state",
    kind=PATH,
    default=Path(".redraw"),
    description="of `make run`: the folder of everything that it writes",
    unset="`.redraw` in the checkout",
    configurable=False,
)
AIRFLOW_PORT = _port("airflow", 8080, "Airflow's pages and API")
GCS_PORT = _port("gcs", 4443, "the storage server")

SETTINGS: tuple[Setting[Any], ...] = (
    engine.MODELS,
    MODEL_BUCKET,
    CHECKPOINTS,
    WORK,
    REPORTS,
    ALLOWED_BUCKETS,
    ALLOWED_CATALOGUES,
    ALLOWED_WORK,
    ALLOWED_SERVERS,
    engine.SCRATCH,
    engine.SCRATCH_BYTES,
    TENSORFLOW_QUEUE,
    LAUNCHER,
    PYTHON,
    engine.VERIFY_KEY,
    engine.PASSPORT,
    WEB_CONNECTION,
    TRY_IT,
    engine.CACHE,
    TENSORBOARD,
    engine.SERVERS,
    engine.STORAGE_TIMEOUT,
    engine.USER_PROJECT,
    engine.WEBHOOKS,
    engine.DOCS,
    PUBLISHING_DAGS,
    MARK_DAG,
    PRUNE_DAG,
    ROLL_BACK_DAG,
    REEXPORT_DAG,
    VALIDATE_DAG,
    engine.RECOMMENDER_ROWS,
    engine.RECOMMENDER_PARTS,
    STATE,
    AIRFLOW_PORT,
    GCS_PORT,
    engine.STORAGE_TOKEN,
)
