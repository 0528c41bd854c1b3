"""Every block of the documentation runs, or says why it does not.

Commands run in processes that have TensorFlow and Airflow imported already, in a folder for each page, on
buckets that all pages share. `docs/start` comes first, and a page finds what those before it published.
"""

from __future__ import annotations

import configparser
import json
import os
import shlex
import shutil
import string
import tomllib
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from glob import glob
from pathlib import Path

import pytest

from redraw.names import ModelName
from redraw.publish.bucket.layout import read_release
from redraw.publish.live.pointer import read_pointer
from redraw.rollout.golden import read_questions
from redraw.storage.opening import open_storage
from tests.documentation.blocks import PAGES, Block, read_blocks
from tests.forks import ForkServer
from tests.model_server import running_servers
from tests.paths import IMPORT_PATH

_NEEDED = [
    "tests.documentation.world",
    "redraw.export.export",
    "redraw.validate.validator",
    "redraw.train.train",
    "redraw.draft.draft",
    "redraw_airflow.dags",
]


class World:
    """The folder that pages begin with, and what runs their blocks."""

    def __init__(self, folder: Path, server: ForkServer) -> None:
        self.folder = folder
        self._server = server

    def call(self, program: str, *arguments: str, **variables: str) -> str:
        """Run a program of `tests.documentation.world`; returns what it printed."""
        ended = self._server.start(f"tests.documentation.world:{program}", arguments, variables).wait(200)
        assert ended.status == 0, f"{arguments}\n{ended.stderr[-3000:]}"
        return ended.stdout


@pytest.fixture(scope="module")
def world(gcs_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    for name in ("old", "models", "checkpoints"):
        body = json.dumps({"name": name}).encode()
        headers = {"Content-Type": "application/json"}
        asked = urllib.request.Request(f"{gcs_server}/storage/v1/b?project=redraw", body, headers)
        urllib.request.urlopen(asked, timeout=10).close()
    folder = tmp_path_factory.mktemp("world")
    (folder / "my_models").mkdir()
    (folder / "my_models" / "__init__.py").touch()
    home = tmp_path_factory.mktemp("home")
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "REDRAW"))},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "REDRAW_CACHE": str(home / "cache"),
        "STORAGE_EMULATOR_HOST": gcs_server,
        "PYTHONPATH": IMPORT_PATH,
    }
    server = ForkServer(_NEEDED, environment, home)
    made = World(folder, server)
    try:
        made.call("build", str(folder), PYTHONPATH=str(folder), REDRAW_MODELS="my_models")
        yield made
    finally:
        server.close()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_the_page_runs_or_says_why_not(page: str, world: World, tmp_path: Path) -> None:
    folder = tmp_path / "page"
    shutil.copytree(world.folder, folder)
    blocks = read_blocks(page)
    if any("redraw draft" in block.text for block in blocks):
        (folder / "my_models" / "churn.py").unlink()
    variables = _variables(folder)
    with _model_server(variables) if page == "docs/how-to/rollout.md" else nullcontext():
        for block in blocks:
            if not block.not_run:
                _use(block, page, folder, variables, world)


@contextmanager
def _model_server(variables: dict[str, str]) -> Iterator[None]:
    """A server at `models` that has what is live of `churn`, and answers as its record says."""
    storage, churn = open_storage("gs://models"), ModelName("churn")
    live = read_pointer(storage, churn).version
    assert live is not None
    release = read_release(storage, churn, live)
    assert release is not None
    (question,), _ = read_questions(storage, release)
    host = f"127.0.{os.getpid() % 200 + 2}.{os.getpid() % 250 + 2}"  # one for each process of the tests
    variables["DOCUMENTATION_MODELS"] = host
    with running_servers() as servers:
        servers.start(
            host,
            (8500, 8501),
            model="churn",
            versions={str(live): "AVAILABLE"},
            outputs={name: values.tolist() for name, values in question.outputs.items()},
            dtypes={name: spec.dtype for name, spec in question.specs.items()},
        )
        yield


def _variables(folder: Path) -> dict[str, str]:
    return {"PWD": str(folder), "PYTHONPATH": str(folder), "REDRAW_MODELS": "my_models,redraw.models"}


def _use(block: Block, page: str, folder: Path, variables: dict[str, str], world: World) -> None:
    if block.file:
        (folder / block.file).write_text(block.text)
    elif block.language == "sh":
        for line in block.text.replace("\\\n", " ").splitlines():
            _run_line(line, folder, variables, world)
    elif block.language == "python":
        world.call("execute", str(folder), page, block.text, **variables)
    elif block.language == "toml":
        assert tomllib.loads(block.text)
    elif block.language == "ini":
        configparser.ConfigParser().read_string(block.text)
    else:
        assert block.language == "text", f"{page}: no test knows blocks of {block.language!r}"


def _run_line(line: str, folder: Path, variables: dict[str, str], world: World) -> None:
    """Run a line of a shell block: `export` and `redraw` are all that these blocks hold."""
    program, *words = shlex.split(string.Template(line).safe_substitute(variables), comments=True)
    if program == "export":
        variables.update(word.split("=", 1) for word in words)
        return
    assert program == "redraw", f"no test runs {program}: mark the block with <!-- not run: REASON -->"
    arguments = [found for word in words for found in _expanded(word, folder)]
    world.call("run", str(folder), *arguments, **variables)


def _expanded(word: str, folder: Path) -> list[str]:
    return sorted(glob(word, root_dir=folder)) if "*" in word else [word]


def test_definition_of_the_readme_trains_exports_and_validates(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "page"
    shutil.copytree(world.folder, folder)
    variables = _variables(folder)
    for block in read_blocks("README.md"):
        if block.file:
            _use(block, "README.md", folder, variables, world)
    for line in (
        "redraw train --model vineyard --max-steps 20 --out work/run",
        "redraw checkpoint --model vineyard --from work/run --latest --catalogue work/checkpoints",
        "redraw export --model vineyard --checkpoint work/checkpoints/vineyard/* --out work/model",
        "redraw validate --model vineyard --saved-model work/model --report work/report.json",
    ):
        _run_line(line, folder, variables, world)
