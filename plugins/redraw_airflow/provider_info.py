"""The description of Redraw as an Airflow provider; the entry point `apache_airflow_provider` names it.

Airflow calls this while it reads its own configuration, in every process. So this module imports nothing of
Airflow. If the longer part of the description fails, the error is logged and Airflow gets the short part:
otherwise Airflow could not start.
"""

from __future__ import annotations

import logging
from typing import Any

_logger = logging.getLogger(__name__)

_INTEGRATION = "Redraw"
_OPERATORS = (
    "approving",
    "comparing",
    "publishing",
    "reexport_summary",
    "reexporting",
    "retention",
    "tracking",
    "training",
    "validation",
)
_LINKS = ("CheckpointLink", "ReleaseLink", "TensorBoardLink", "VersionLink")
_OPTION_ADDED = "0.1.0"


def get_provider_info() -> dict[str, Any]:
    """Describe Redraw to Airflow.

    Source:
        airflow/provider_info.schema.json. Its `plugins` are missing here: the entry point `airflow.plugins`
        names the plugin, and Airflow reports a plugin that is named twice as an error.
    """
    info: dict[str, Any] = {
        "package-name": "airflow-provider-redraw",
        "name": "Redraw",
        "description": "Turn TensorFlow checkpoints into served models.",
    }
    try:
        return {**info, **_parts(), "config": _config()}
    except Exception:  # Airflow does not start if a provider's description fails
        _logger.exception("expected a description of Redraw's operators and settings, got an error")
        return info


def _parts() -> dict[str, Any]:
    modules = [f"redraw_airflow.operators.{name}" for name in _OPERATORS]
    modules.append("redraw_airflow.rollout.operator")
    triggers = ["redraw_airflow.rollout.trigger", "redraw_airflow.sensors.triggers"]
    vertex = {"integration-name": "Google Vertex AI", "python-modules": ["redraw_airflow.vertex.operator"]}
    return {
        "integrations": [{"integration-name": _INTEGRATION, "tags": ["software"]}],
        "operators": [{"integration-name": _INTEGRATION, "python-modules": modules}, vertex],
        "sensors": [{"integration-name": _INTEGRATION, "python-modules": ["redraw_airflow.sensors.sensors"]}],
        "triggers": [{"integration-name": _INTEGRATION, "python-modules": triggers}],
        "hooks": [{"integration-name": _INTEGRATION, "python-modules": ["redraw_airflow.hooks"]}],
        "connection-types": [_connection_type()],
        "notifications": ["redraw_airflow.notifications.RedrawNotifier"],
        "extra-links": [f"redraw_airflow.operators.links.{name}" for name in _LINKS],
    }


def _connection_type() -> dict[str, Any]:
    """The form of the connections of `RedrawHook`; the other fields are the Google provider's."""
    fields: dict[str, tuple[str, str, dict[str, Any]]] = {
        "bucket": ("Model bucket", "gs://BUCKET or gs://BUCKET/PREFIX", {}),
        "catalogue": ("Checkpoint catalogue", "gs:// URI or folder; empty if it is not used", {}),
        "key_path": ("Keyfile path", "of a Google service account, on the workers", {}),
        "keyfile_dict": ("Keyfile JSON", "the same, as text", {"format": "password"}),
        "impersonation_chain": ("Impersonation chain", "Google accounts, with a comma between them", {}),
        "project": ("Project", "of Google Cloud", {}),
        "user_project": ("User project", "pays for requests to buckets whose requesters pay", {}),
        "is_anonymous": ("Anonymous", "for a storage server without accounts", {"type": ["boolean", "null"]}),
    }
    return {
        "connection-type": "redraw",
        "hook-class-name": "redraw_airflow.hooks.RedrawHook",
        "hook-name": "Redraw model bucket",
        "ui-field-behaviour": {
            "hidden-fields": ["host", "schema", "login", "password", "port", "extra"],
            "relabeling": {},
            "placeholders": {"bucket": "gs://models", "catalogue": "gs://checkpoints"},
        },
        "conn-fields": {
            name: {"label": label, "description": about, "schema": {"type": ["string", "null"], **more}}
            for name, (label, about, more) in fields.items()
        },
    }


def _config() -> dict[str, Any]:
    """The section `[redraw]`, from the table of settings."""
    from redraw_airflow.settings import SECTION, SETTINGS

    options = {
        setting.name: {
            "description": f"{setting.description[0].upper()}{setting.description[1:]}.",
            "version_added": _OPTION_ADDED,
            "type": setting.kind.option,
            "example": setting.example,
            "default": setting.default_text,
        }
        for setting in SETTINGS
        if setting.configurable
    }
    about = "Settings of Redraw. An environment variable REDRAW_<OPTION> goes before an option."
    return {SECTION: {"description": about, "options": options}}
