"""What a web page of another origin can do to what listens on loopback, tried in a real browser."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser

from redraw.storage.opening import Storage, open_storage
from redraw_airflow.standalone.airflow_api import AirflowApi
from redraw_airflow.standalone.settings import Settings, read_token
from tests.embedded import reach_storage

pytestmark = pytest.mark.timeout(600)

# What a page does, each with what it learns: `read: …` is content that it must not see. A request that needs
# permission (DELETE, a token) is asked for by the browser first; one that does not is just sent.
ATTACKS = """
async ({storage, bucket, escaping, token}) => {
  const learned = {};
  const attempt = async (name, path, options) => {
    try {
      const answer = await fetch(storage + path, options);
      learned[name] = answer.type === "opaque" ? "sent" : "read: " + answer.status + (await answer.text());
    } catch (error) { learned[name] = "refused"; }
  };
  const upload = name => `/upload/storage/v1/b/${bucket}/o?uploadType=media&name=${name}`;
  const bytes = {method: "POST", headers: {"Content-Type": "text/plain"}, body: "print('attacked')"};
  await attempt("write by name", upload("written"), {...bytes, mode: "no-cors"});
  await attempt("write outside", upload(escaping), {...bytes, mode: "no-cors"});
  await attempt("write, asking", upload("asked"), bytes);
  await attempt("list", `/storage/v1/b/${bucket}/o`, {});
  await attempt("read", `/download/storage/v1/b/${bucket}/o/kept?alt=media`, {});
  await attempt("delete", `/storage/v1/b/${bucket}/o/kept`, {method: "DELETE"});
  const headers = {Authorization: `Bearer ${token}`};
  await attempt("list by token", `/storage/v1/b/${bucket}/o`, {headers});
  await attempt("write by token", upload("by-token"), {...bytes, headers});
  const frame = document.createElement("iframe");
  frame.name = "target";
  document.body.append(frame);
  const form = Object.assign(document.createElement("form"), {
    method: "POST", enctype: "text/plain", target: "target", action: storage + upload("by-form")});
  document.body.append(form);
  const shown = new Promise(done => frame.addEventListener("load", done, {once: true}));
  form.submit();
  await shown;
  return learned;
}
"""


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>another site</title>")

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def other_origin(host: str) -> Iterator[str]:
    """The URL of a page on another port, by that name."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def attack(browser: Browser, host: str, **what: str) -> dict[str, str]:
    """What a page of another origin learned from its attempts."""
    with other_origin(host) as url:
        page = browser.new_page()
        try:
            page.goto(url)
            learned: dict[str, str] = page.evaluate(ATTACKS, what)
            return learned
        finally:
            page.close()


# localhost is another site than 127.0.0.1; another port of the same address is only another origin.
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_page_of_another_origin_changes_and_learns_nothing(
    chromium: Browser,
    airflow_api: AirflowApi,
    embedded_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
) -> None:
    reach_storage(monkeypatch, embedded_settings)
    storage = open_storage(f"{embedded_settings.model_bucket}/")
    kept = storage.stat("kept") or storage.create("kept", b"content")
    names = {item.name for item in storage.list()}
    dags, state = _files(embedded_settings.root / "dags"), _files(embedded_settings.state, depth=1)

    learned = attack(
        chromium,
        host,
        storage=embedded_settings.gcs_url,
        bucket=embedded_settings.model_bucket.bucket,
        escaping=quote("../../../../dags/attack.py", safe=""),
        token=read_token(embedded_settings),
    )

    assert {name: text for name, text in learned.items() if text.startswith("read: ")} == {}
    assert len(learned) == 8
    assert storage.stat("kept") == kept
    assert {item.name for item in storage.list()} == names
    assert _files(embedded_settings.root / "dags") == dags
    assert _files(embedded_settings.state, depth=1) == state


def test_same_page_takes_a_server_that_asks_nobody_who_they_are(
    chromium: Browser, gcs_server: str, new_bucket: Callable[[], str]
) -> None:
    """The attempts are real ones: they all succeed where nothing is in their way."""
    bucket = new_bucket()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", gcs_server)
        storage: Storage = open_storage(bucket)
        storage.create("kept", b"content")

        learned = attack(
            chromium,
            "localhost",
            storage=gcs_server,
            bucket=bucket.removeprefix("gs://"),
            escaping="elsewhere",
            token="a",  # noqa: S106 - it asks for none
        )

        assert {item.name for item in storage.list()} >= {"written", "elsewhere", "by-form"}
        assert storage.stat("kept") is None
    assert "kept" in learned["list"]


def test_page_of_another_origin_starts_nothing_in_airflow(
    chromium: Browser, airflow_api: AirflowApi, embedded_settings: Settings, log_in: Callable[..., object]
) -> None:
    """Nor one that shares the browser, and so the cookies, with somebody who is logged in."""
    page = log_in("admin")
    path = "dags/roll_back_model/dagRuns"
    runs = airflow_api._get(path)["total_entries"]
    with other_origin("127.0.0.1") as url:
        page.goto(url)  # type: ignore[attr-defined]
        answers = page.evaluate(  # type: ignore[attr-defined]
            """async ({airflow, path}) => {
              const body = JSON.stringify({logical_date: null, conf: {}});
              const learned = [];
              for (const type of ["text/plain", "application/json"])
                for (const mode of ["no-cors", "cors"])
                  for (const target of [`/api/v2/${path}`, "/redraw/models/mnist/1/trial"]) {
                    const options = {method: "POST", headers: {"Content-Type": type}, body, mode,
                                     credentials: "include"};
                    try {
                      const answer = await fetch(airflow + target, options);
                      learned.push(answer.type === "opaque" ? "sent" : "read");
                    } catch (error) { learned.push("refused"); }
                  }
              try { await (await fetch(airflow + "/redraw/models", {credentials: "include"})).text();
                    learned.push("read"); } catch (error) { learned.push("refused"); }
              return learned;
            }""",
            {"airflow": embedded_settings.airflow_url, "path": path},
        )

    assert "read" not in answers
    assert airflow_api._get(path)["total_entries"] == runs


def _files(folder: Path, depth: int = 9) -> set[Path]:
    pattern = "*" if depth == 1 else "**/*"
    return {path for path in folder.glob(pattern) if "__pycache__" not in path.parts}
