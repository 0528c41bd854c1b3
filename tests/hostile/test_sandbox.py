"""What a model that is loaded can reach: nothing but itself, even if its operations were not looked at."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from redraw.serving import LoadedModel, LoadFailed, RequestRefused, ServingProcess
from redraw.serving.errors import SandboxMissing
from redraw.serving.sandbox.enter import most_bytes
from redraw.serving.sandbox.kernel import MACHINE
from tests.hostile.models import EFFECTS, save_model
from tests.paths import ROOT

PROBE = ROOT / "tests/hostile/probe.py"
UNSHARE = {"x86_64": 272, "aarch64": 97}[MACHINE]
LANDLOCK = 444
# What a kernel or a container refuses, and the layers that are left.
KERNELS = {
    "all of it": ([], {"namespaces", "files", "limits", "privileges", "landlock", "seccomp"}),
    "a container without rights": ([UNSHARE], {"limits", "privileges", "landlock", "seccomp"}),
    "an old kernel": ([LANDLOCK], {"namespaces", "files", "limits", "privileges", "seccomp"}),
    "nothing": ([UNSHARE, LANDLOCK], {"limits", "privileges", "seccomp"}),
}
READS = {"read /etc/passwd", "read a file next to the model", "read the parent's environment"}
READS |= {"list processes", "list what lies next to the model"}
# Without an administrator's rights.
NOT_EVERYBODY = {"mount", "trace the parent"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("probed")
    (root / "secret").write_text("secret")
    (root / "mounted").mkdir()
    return save_model(root / "model", tf.no_op, "signature")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        yield listening.getsockname()[1]


def probe(folder: Path, port: int, mode: str, refused: list[int]) -> dict[str, Any]:
    command = [sys.executable, str(PROBE), str(folder), str(port), mode, *map(str, refused)]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT}/tasks"}
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert ran.returncode == 0, ran.stderr
    for made in (folder.parent / "outside", folder / "added"):
        made.unlink(missing_ok=True)
    return json.loads(ran.stdout)


def test_attempts_outside_of_the_sandbox_succeed(folder: Path, port: int) -> None:
    """Else the tests below would show nothing."""
    done = probe(folder, port, "outside", [])["done"]
    assert {name for name, could in done.items() if not could} <= (NOT_EVERYBODY if os.getuid() else set())


@pytest.mark.parametrize("kernel", KERNELS)
def test_attempts_inside_of_the_sandbox_are_refused(kernel: str, folder: Path, port: int) -> None:
    refused, layers = KERNELS[kernel]
    found = probe(folder, port, "inside", refused)
    assert set(found["layers"]) == layers
    assert found["hides"] == (kernel != "nothing")
    could = {name for name, done in found["done"].items() if done}
    assert could - (READS if kernel == "nothing" else set()) == {"read the model"}


@pytest.fixture(scope="module")
def serving() -> Iterator[ServingProcess]:
    with ServingProcess() as one:
        yield one


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/proc/{parent}/environ", "/proc/self/environ", "{folder}/../secret"]
)
def test_load_model_that_reads_a_file_gets_nothing_of_it(
    path: str, tmp_path: Path, serving: ServingProcess
) -> None:
    (tmp_path / "secret").write_text("secret")
    model = tmp_path / "model"
    wanted = path.replace("{folder}", str(model)).replace("{parent}", str(os.getpid()))
    save_model(model, lambda: tf.raw_ops.ReadFile(filename=wanted), "signature", answer=True)
    loaded = LoadedModel(serving, model, ("serve",))  # past the allow-list
    with pytest.raises(RequestRefused, match="NOT_FOUND|PERMISSION_DENIED"):
        loaded.answer("serving_default", {"x": np.float32([1])})
    loaded.close()


def test_load_model_reads_its_own_files(tmp_path: Path, serving: ServingProcess) -> None:
    model = tmp_path / "model"
    own = model / "saved_model.pb"
    save_model(model, lambda: tf.raw_ops.ReadFile(filename=str(own)), "signature", answer=True)
    loaded = LoadedModel(serving, model, ("serve",))
    assert loaded.answer("serving_default", {"x": np.float32([1])})["y"] == own.read_bytes()


@pytest.mark.parametrize(
    ("op", "place", "inside"),
    [
        ("WriteFile", "signature", True),
        ("WriteFile", "initialization", False),
        ("PrintV2", "signature", False),
        ("SaveV2", "initialization", False),
    ],
)
def test_load_model_that_writes_a_file_leaves_none(
    op: str, place: Any, inside: bool, tmp_path: Path, serving: ServingProcess
) -> None:
    model = tmp_path / "model"
    target = (model if inside else tmp_path) / "written"
    save_model(model, lambda: EFFECTS[op](str(target)), place)
    before = sorted(path.name for path in model.rglob("*"))
    with contextlib.suppress(LoadFailed, RequestRefused):  # a print without its file says nothing
        LoadedModel(serving, model, ("serve",)).answer("serving_default", {"x": np.float32([1])})
    assert sorted(path.name for path in model.rglob("*")) == before
    assert not list(tmp_path.glob("written*"))


def test_load_model_that_takes_all_memory_ends_alone(tmp_path: Path, serving: ServingProcess) -> None:
    size = most_bytes(tmp_path) // 4 * 2

    def draw() -> tf.Tensor:
        return tf.raw_ops.RandomUniform(shape=[size], dtype=tf.float32)

    model = save_model(tmp_path / "model", draw, "signature", answer=True)
    with pytest.raises(Exception, match="RESOURCE_EXHAUSTED|bad_alloc|was killed"):
        LoadedModel(serving, model, ("serve",)).answer("serving_default", {"x": np.float32([1])})


def test_worker_gets_none_of_this_process_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "secret")
    with ServingProcess() as serving:
        held = Path(f"/proc/{serving.take_worker().pid}/environ").read_bytes()
    assert b"FERNET" not in held
    assert b"HOME=" not in held


_ASK = """
import sys
from pathlib import Path
from redraw.serving import ServingProcess
from tests.hostile.probe import refuse
refuse([int(number) for number in sys.argv[3:]])
with ServingProcess(demand_sandbox=sys.argv[2] == "demand") as serving:
    try:
        print(serving.load(Path(sys.argv[1])).sandbox)
    except Exception as err:
        print(type(err).__name__, err)
"""


@pytest.mark.parametrize(
    ("demand", "said"),
    [
        ("demand", SandboxMissing.__name__ + ".*missing: namespaces .*, landlock"),
        ("take", "sandbox: limits .*, privileges .*, seccomp .*; missing: namespaces .*, landlock"),
    ],
)
def test_load_without_a_sandbox_says_so(demand: str, said: str, folder: Path) -> None:
    command = [sys.executable, "-c", _ASK, str(folder), demand, str(UNSHARE), str(LANDLOCK)]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT}/tasks"}
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert ran.returncode == 0, ran.stderr
    (line,) = ran.stdout.splitlines()
    assert re.search(said, line), line
