"""What can be said of the Helm chart's values without the chart and a cluster."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.paths import ROOT

VALUES = ROOT / "docker" / "helm-values.yaml"


@pytest.fixture
def values() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(VALUES.read_text())
    return loaded


def test_workers_listen_on_the_queues_of_the_compose_file(
    values: dict[str, Any], compose: dict[str, Any]
) -> None:
    celery = values["workers"]["celery"]
    commands = [service.get("command", []) for service in compose["services"].values()]
    named = {command[command.index("--queues") + 1] for command in commands if "--queues" in command}

    assert {celery["queue"], *(one["queue"] for one in celery["sets"])} == named


def test_environment_sets_what_the_compose_file_sets(values: dict[str, Any], compose: dict[str, Any]) -> None:
    environment = {one["name"]: one["value"] for one in values["env"]}
    composed = compose["services"]["scheduler"]["environment"]

    # Its work folder is a volume, which the image names.
    assert {name for name in environment if name.startswith("REDRAW")} - {"REDRAW_WORK"} == {
        name for name in composed if name.startswith("REDRAW")
    }
    assert environment["REDRAW_TENSORFLOW_QUEUE"] == composed["REDRAW_TENSORFLOW_QUEUE"] == "tensorflow"


def test_values_hold_no_secret_and_one_version_of_the_image(values: dict[str, Any]) -> None:
    assert {name for name in values if "secret" in name.lower()} == {
        "apiSecretKeySecretName",
        "fernetKeySecretName",
        "jwtSecretName",
    }
    assert values["images"]["airflow"]["tag"][0].isdigit()
    assert values["data"] == {"metadataSecretName": "airflow-metadata"}
