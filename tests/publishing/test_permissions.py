"""Each command does its work with the permissions that the documentation lists, and needs all of them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.records import TrainingRun
from redraw.runs.folder import RunFolder
from redraw.storage.opening import open_storage
from tests.paths import ROOT
from tests.publishing.exports import Export, RemoteExport, write_export
from tests.publishing.faults import Fault, Refuse
from tests.publishing.features import Features
from tests.publishing.processes import Starter
from tests.publishing.proxy import FaultyProxy
from tests.publishing.requests import permissions_by_bucket, permissions_of

_PAGE = ROOT / "docs" / "reference" / "permissions.md"
_ROW = re.compile(r"^\| (.*?) \| (.*) \|$", re.MULTILINE)
# They read as `inspect` and `verify` do, but need TensorFlow, or a model that it loads, or a server.
_NOT_RUN = {"train", "export", "validate", "predict", "ask", "compare-answers", "log-to-mlflow", "rollout"}


def _documented() -> dict[str, frozenset[str]]:
    """Command to the permissions that the page lists for it."""
    listed = {}
    for commands, permissions in _ROW.findall(_PAGE.read_text()):
        needed = frozenset(f"storage.objects.{name}" for name in re.findall(r"`(\w+)`", permissions))
        listed |= dict.fromkeys(re.findall(r"`([^`]+)`", commands), needed)
    return {command: needed for command, needed in listed.items() if command not in _NOT_RUN}


@pytest.fixture
def run_folder(tmp_path: Path) -> RunFolder:
    """A training run with one checkpoint."""
    folder = RunFolder(tmp_path / "run")
    folder.write_run(TrainingRun(model="digits", uri=str(folder.path), run="one", step=100))
    with BundleWriter(folder.checkpoints / "ckpt-100") as writer:
        writer.add_array("weights", np.ones(3, np.float32))
    return folder


def _weights(folder: Path) -> list[Path]:
    """The files of one variable."""
    with BundleWriter(folder / "variables") as writer:
        writer.add_array("weights", np.ones(3, np.float32))
    return sorted(folder.iterdir())


@pytest.fixture
def steps(run_folder: RunFolder, bucket: str, tmp_path: Path) -> list[tuple[str, list[str]]]:
    """Every documented command, and how it is called; each call finds what those before it left."""
    return _steps(run_folder, bucket, tmp_path)


def _steps(run_folder: RunFolder, bucket: str, tmp_path: Path) -> list[tuple[str, list[str]]]:
    weights = {f"variables/{path.name}": path.read_bytes() for path in _weights(tmp_path / "weights")}
    old, new, oldest = (
        write_export(tmp_path / f"export-{time[:10]}", {**weights, "saved_model.pb": b"graph"}, time)
        for time in ("2024-05-01T00:00:00Z", "2024-05-02T00:00:00Z", "2024-04-01T00:00:00Z")
    )
    model = ["--model", "digits", "--bucket", bucket]
    catalogue = ["--model", "digits", "--catalogue", f"{bucket}/catalogue"]
    digest = TensorBundle(run_folder.checkpoints / "ckpt-100").digest()
    return [
        ("checkpoint", ["checkpoint", *catalogue, "--from", str(run_folder.path), "--latest"]),
        ("inspect", ["inspect", f"{bucket}/catalogue/digits/100-{digest[:12]}"]),
        ("push", old.push_arguments(bucket)),
        ("live", ["live", *model]),
        ("live --set", ["live", *model, "--set", "2024050100000000"]),
        ("push --make-live", [*new.push_arguments(bucket), "--make-live"]),
        ("--previous", ["live", *model, "--previous"]),
        ("live --set", ["live", *model, "--set", "2024050200000000", "--allow-rejected", "a test"]),
        ("live", ["live", *model]),
        ("pin", ["pin", *model, "--version", "2024050200000000", "--reason", "a test"]),
        ("push", oldest.push_arguments(bucket)),
        ("releases", ["releases", *model]),
        (
            "differences",
            ["differences", *model, "--version", "2024050100000000", "--other", "2024050200000000"],
        ),
        ("examples", ["examples", *model, "--version", "2024050200000000"]),
        ("verify", ["verify", f"{bucket}/digits/2024050200000000"]),
        ("mirror", ["mirror", *model, "--out", str(tmp_path / "mirror")]),
        ("events", ["events", *model]),
        ("recover", ["recover", *model]),
        ("recover --apply", ["recover", *model, "--apply"]),
        ("prune", ["prune", *model, "--keep", "1"]),
        ("prune --apply", ["prune", *model, "--keep", "1", "--apply"]),
    ]


def test_run_with_the_documented_permissions_needs_all_and_no_other(
    proxy: FaultyProxy, starter: Starter, steps: list[tuple[str, list[str]]], bucket: str
) -> None:
    documented = _documented()
    used: dict[str, frozenset[str]] = dict.fromkeys(documented, frozenset())
    for command, arguments in steps:
        proxy.granted = documented[command]
        proxy.requests.clear()
        ended = starter.start(arguments, {"STORAGE_EMULATOR_HOST": proxy.url}).wait()
        assert ended.status == 0, f"{command}: {ended.stderr}"
        used[command] = used[command].union(*map(permissions_of, proxy.requests))
    assert used == documented
    folders = {item.name.rpartition("/")[0] for item in open_storage(bucket).list("digits/")}
    assert "digits/reports/2024050200000000" in folders
    assert not any("2024040100000000" in folder for folder in folders)


def test_every_command_works_below_one_prefix_of_a_bucket_whose_requesters_pay(
    proxy: FaultyProxy, starter: Starter, run_folder: RunFolder, bucket: str, tmp_path: Path
) -> None:
    proxy.features = Features(payer="our-project", prefix="team/models", uniform=True)
    environment = {"STORAGE_EMULATOR_HOST": proxy.url, "REDRAW_USER_PROJECT": "our-project"}
    for command, arguments in _steps(run_folder, f"{bucket}/team/models", tmp_path):
        ended = starter.start(arguments, environment).wait()
        assert ended.status == 0, f"{command}: {ended.stderr}"
    assert {request.project for request in proxy.requests if request.operation != "batch"} == {"our-project"}
    assert all(
        request.name.startswith("team/models") or request.operation == "batch" for request in proxy.requests
    )


def test_push_of_an_export_in_a_bucket_reads_there_and_creates_here(
    proxy: FaultyProxy, starter: Starter, remote_export: RemoteExport, bucket: str
) -> None:
    page = " ".join(_PAGE.read_text().split())
    assert "An export that lies in a bucket needs `list` and `get` there to be pushed" in page
    there = remote_export.uri.split("/")[2]
    work = frozenset({"storage.objects.list", "storage.objects.get"})
    proxy.granted = {there: work, bucket.removeprefix("gs://"): _documented()["push"]}
    ended = starter.start(remote_export.push_arguments(bucket), {"STORAGE_EMULATOR_HOST": proxy.url}).wait()
    assert ended.status == 0, ended.stderr
    used = frozenset[tuple[str, str]]().union(*map(permissions_by_bucket, proxy.requests))
    assert {permission for place, permission in used if place == there} == work
    assert any(request.operation == "copy" for request in proxy.requests)


def test_push_of_an_export_that_may_not_be_read_names_both_buckets(
    proxy: FaultyProxy, starter: Starter, remote_export: RemoteExport, bucket: str
) -> None:
    message = "no access of that kind"
    proxy.faults = [Fault(action=Refuse(status=403, message=message), operation="copy", name="saved_model")]
    ended = starter.start(remote_export.push_arguments(bucket), {"STORAGE_EMULATOR_HOST": proxy.url}).wait()
    line = ended.stderr.splitlines()[-1]
    assert line.startswith(f"error [StorageForbidden]: {bucket}/digits/")
    assert f"storage.objects.get of {remote_export.uri}/saved_model.pb" in line
    assert "storage.objects.create" in line
    assert message in line


def test_push_forbidden_at_any_request_says_where_and_asks_no_more(
    proxy: FaultyProxy, starter: Starter, export: Export, bucket: str
) -> None:
    message = "no access of that kind"
    number, status = 0, 1
    while status:
        number += 1
        proxy.requests.clear()
        proxy.faults = [Fault(action=Refuse(status=403, message=message), first=number)]
        command = [*export.push_arguments(f"{bucket}/{number}"), "--make-live"]
        ended = starter.start(command, {"STORAGE_EMULATOR_HOST": proxy.url}).wait()
        status = ended.status
        if status:
            line = ended.stderr.splitlines()[-1]
            assert line.startswith(f"error [StorageForbidden]: {bucket}/{number}"), line
            assert message in line
            refused = proxy.requests[number - 1]
            assert refused.name.split("/", 1)[-1] in line
            assert all(permission in line for permission in permissions_of(refused)), line
            assert refused not in proxy.requests[number:]
    assert number > 15


@pytest.mark.parametrize(("status", "error"), [(404, "BucketNotFound"), (412, "StorageUnavailable")])
def test_push_refused_for_good_is_not_tried_again(
    proxy: FaultyProxy, starter: Starter, export: Export, bucket: str, status: int, error: str
) -> None:
    graph = "/saved_model.pb"
    proxy.faults = [Fault(action=Refuse(status=status), operation="create", name=graph, count=9)]
    ended = starter.start(export.push_arguments(bucket), {"STORAGE_EMULATOR_HOST": proxy.url}).wait()
    line = ended.stderr.splitlines()[-1]
    assert line.startswith(f"error [{error}]: {bucket}/digits/")
    assert graph in line
    assert sum(request.operation == "create" and graph in request.name for request in proxy.requests) == 1


def test_forbidden_permission_is_named(
    proxy: FaultyProxy, starter: Starter, export: Export, bucket: str
) -> None:
    proxy.granted = _documented()["push"] - {"storage.objects.create"}
    ended = starter.start(export.push_arguments(bucket), {"STORAGE_EMULATOR_HOST": proxy.url}).wait()
    line = ended.stderr.splitlines()[-1]
    assert (ended.status, line.split(":")[0]) == (1, "error [StorageForbidden]")
    assert "storage.objects.create" in line
    assert f"{bucket}/digits/releases/" in line
    assert sum(request.operation == "create" for request in proxy.requests) == 1
