"""MLflow's own server on SQLite, from this environment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.conftest import free_port, wait_until

__all__ = ["run_mlflow_server"]


@contextmanager
def run_mlflow_server(folder: Path) -> Iterator[str]:
    """A running server, which keeps everything in a folder; gives its URL."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--default-artifact-root", f"{folder}/artifacts"]
    # Neither its telemetry, nor the jobs that it runs for agents, nor a list of prices from the network.
    switches = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environment = {**os.environ, **switches, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    url = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_until(lambda: _is_up(server, url, folder / "log"), f"MLflow at {url}", 200, every=0.2)
            yield url
        finally:
            os.killpg(server.pid, 15)
            server.wait(30)


def _is_up(server: subprocess.Popen[bytes], url: str, log: Path) -> bool:
    assert server.poll() is None, log.read_text()
    try:
        return requests.get(f"{url}/health", timeout=0.5).ok
    except requests.RequestException:
        return False
