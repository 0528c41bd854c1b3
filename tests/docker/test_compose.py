"""What can be said of the compose file without a Docker engine."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from redraw.definition.model import NEWEST_SERVER
from tests.paths import ROOT

DOCKER = ROOT / "docker"
OURS = {"redraw-airflow", "redraw-worker", "redraw-tensorflow"}


def check_schema(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_compose_keeps_to_the_specification() -> None:
    done = check_schema(DOCKER / "compose.yaml")

    assert done.returncode == 0, done.stdout


def test_compose_with_a_misspelt_key_does_not(compose: dict[str, Any], tmp_path: Path) -> None:
    service = {**compose["services"]["redis"], "helthcheck": {}}
    misspelt = tmp_path / "compose.yaml"
    misspelt.write_text(yaml.safe_dump({"services": {"redis": service}}))

    assert "helthcheck" in check_schema(misspelt).stdout


def test_images_are_built_here_or_have_a_version(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        if service["image"] in OURS:
            recipe = (DOCKER / ".." / service["build"]["dockerfile"]).read_text()
            target = service["build"].get("target")
            assert target is None or f" AS {target}\n" in recipe
        else:
            assert re.fullmatch(r"[a-z/-]+:\d[\w.-]+", service["image"])
            assert "build" not in service


def test_model_server_is_the_newest_release(compose: dict[str, Any]) -> None:
    assert compose["services"]["serving"]["image"] == f"tensorflow/serving:{NEWEST_SERVER}.0"


def test_ports_are_published_on_loopback_alone(compose: dict[str, Any]) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", ())]

    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_what_a_service_needs_is_declared_and_can_be_healthy(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for service in services.values():
        for name, needed in service.get("depends_on", {}).items():
            assert needed["condition"] != "service_healthy" or "healthcheck" in services[name]
            assert name in services
        for volume in service.get("volumes", ()):
            assert volume.split(":")[0] in compose["volumes"]
        assert all(config["source"] in compose["configs"] for config in service.get("configs", ()))
    # What runs on says whether it is well.
    assert [name for name, service in services.items() if "healthcheck" not in service] == ["migrate"]


def test_new_secrets_writes_every_variable_once_for_its_owner_alone(
    compose: dict[str, Any], tmp_path: Path
) -> None:
    script = tmp_path / "new-secrets"
    script.write_bytes((DOCKER / "new-secrets").read_bytes())
    made = subprocess.run(["sh", str(script)], capture_output=True, text=True, timeout=20)
    assert made.returncode == 0, made.stderr
    written = (tmp_path / ".env").read_text()

    again = subprocess.run(["sh", str(script)], capture_output=True, text=True, timeout=20)

    assert (again.returncode, (tmp_path / ".env").read_text()) == (1, written)
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    values = dict(line.split("=", 1) for line in written.splitlines())
    needed = {name for text in texts(compose) for name in re.findall(r"\$\{(\w+)", text)}
    assert set(values) == needed
    assert all(len(value) >= 43 for value in values.values())
    assert len(set(values.values())) == len(values)


def texts(value: Any) -> Iterator[str]:
    """Every text in a tree of YAML."""
    if isinstance(value, str):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(part)
