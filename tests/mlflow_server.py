"""MLflow's own server on SQLite, from this environment."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

from tests.conftest import free_port, wait_until

__all__ = ["run_mlflow_server", "run_relay"]


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


# What happens to a request, by its number from 1 and its path; None: nothing.
Fault = Callable[[int, str], str | None]


@contextmanager
def run_relay(server: str, fault: Fault, host: str = "127.0.0.1") -> Iterator[str]:
    """A server in front of another one, which passes requests on, or does not; gives its URL.

    A fault is `refuse` (status 500, before), `fail` (500, after the server did it), `lose` (no answer, after
    it), `wait` (an answer a second late), or text to answer instead.
    """
    count = itertools.count(1)

    class Listener(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    class Relay(BaseHTTPRequestHandler):
        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            what = fault(next(count), self.path)
            status, content = 500, b"{}"
            if what in {None, "fail", "lose", "wait"}:
                headers = {"content-type": self.headers.get("content-type", "application/json")}
                answer = requests.request(
                    self.command, f"{server}{self.path}", data=body, headers=headers, timeout=60
                )
                status, content = (500, b"{}") if what == "fail" else (answer.status_code, answer.content)
            elif what != "refuse":
                status, content = 200, str(what).encode()
            if what == "lose":
                self.close_connection = True
                return
            if what == "wait":
                threading.Event().wait(1.5)
            with suppress(OSError):  # a client that did not wait
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.send_header("retry-after", "86400")
                self.end_headers()
                self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = pass_on  # noqa: N815

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    relay = Listener((host, 0), Relay)
    thread = threading.Thread(target=relay.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://{f'[{host}]' if ':' in host else host}:{relay.server_port}"
    finally:
        relay.shutdown()
        thread.join()
        relay.server_close()
