"""What Airflow asks of an installed provider; the entry point `apache_airflow_provider` names it."""

from __future__ import annotations

from typing import Any

__all__ = ["get_provider_info"]


def get_provider_info() -> dict[str, Any]:
    """Describe Redraw to Airflow."""
    return {
        "package-name": "airflow-provider-redraw",
        "name": "Redraw",
        "description": "Turn TensorFlow checkpoints into served models.",
    }
