"""Checkpoints that other programs saved, put into the catalogue."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redraw.__main__ import main
from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.checkpoint.catalogue.adopt import adopt_checkpoints
from redraw.checkpoint.catalogue.listing import list_checkpoints
from redraw.checkpoint.formats.source import open_checkpoint
from redraw.errors import CheckpointCorrupt, CheckpointNotFound, InvalidRequest
from redraw.records.results import AdoptionReport
from redraw.requests import AdoptRequest
from redraw.storage.files import scan_tree
from redraw.storage.opening import open_storage, upload_tree
from redraw.uri import Uri
from tests.checkpoint_year import MODEL, Year


def adopt(source: Path | str, catalogue: Path | str, **more: Any) -> AdoptionReport:
    return adopt_checkpoints(AdoptRequest(model=MODEL, source=str(source), catalogue=str(catalogue), **more))


def write_bundle(prefix: Path, value: float, step: int = 1) -> Path:
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with BundleWriter(prefix) as writer:
        writer.add_array("w", np.float32([value]))
        writer.add_array("global_step", np.int64(step))
    return prefix


def put_into(bucket: str, folder: Path) -> str:
    upload_tree(open_storage(bucket), "old", scan_tree(folder).files)
    return f"{bucket}/old"


@pytest.mark.parametrize("in_place", [False, True])
def test_adopt_a_year_of_every_layout_tells_step_and_time_of_each(
    in_place: bool, year_of_checkpoints: Year, tmp_path: Path
) -> None:
    report = adopt(year_of_checkpoints.folder, tmp_path, recursive=True, in_place=in_place)
    assert report.broken == ()
    expected = {(str(c.uri), c.step, c.trained_at) for c in year_of_checkpoints.checkpoints}
    assert {(c.uri, c.step, c.trained_at) for c in report.adopted} == expected
    for record in list_checkpoints(Uri(tmp_path), MODEL):
        source = open_checkpoint(record.files_uri)
        assert source.digest() == record.digest
        assert record.uri.startswith(str(year_of_checkpoints.folder if in_place else tmp_path / MODEL))


def test_adopt_again_changes_nothing(year_of_checkpoints: Year, tmp_path: Path) -> None:
    first = adopt(year_of_checkpoints.folder, tmp_path, recursive=True)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    again = adopt(year_of_checkpoints.folder, tmp_path, recursive=True)
    assert (again.adopted, again.known, again.broken) == ((), len(first.adopted), ())
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("in_place", [False, True])
def test_adopt_from_a_bucket_into_a_bucket_records_the_same(
    in_place: bool, year_of_checkpoints: Year, bucket: str, tmp_path: Path
) -> None:
    source = put_into(bucket, year_of_checkpoints.folder)
    report = adopt(source, f"{bucket}/catalogue", recursive=True, in_place=in_place)
    assert report.broken == ()
    here = {c.digest: c for c in adopt(year_of_checkpoints.folder, tmp_path, recursive=True).adopted}
    assert {c.digest for c in report.adopted} == set(here)
    noted = {c.digest: c.trained_at for c in report.adopted if "estimator" in c.uri or "managed" in c.uri}
    assert noted == {digest: here[digest].trained_at for digest in noted}
    assert len(noted) == 6
    for record in list_checkpoints(Uri(bucket) / "catalogue", MODEL):
        assert open_checkpoint(record.files_uri).digest() == record.digest


def test_adopt_without_recursion_stays_in_the_folder(year_of_checkpoints: Year, tmp_path: Path) -> None:
    report = adopt(year_of_checkpoints.folder / "estimator", tmp_path)
    assert [c.step for c in report.adopted] == [30, 40, 50]
    with pytest.raises(CheckpointNotFound, match="found none.* add --recursive"):
        adopt(year_of_checkpoints.folder, tmp_path / "other")


def test_adopt_one_prefix_takes_that_checkpoint(year_of_checkpoints: Year, tmp_path: Path) -> None:
    report = adopt(year_of_checkpoints.folder / "estimator" / "model.ckpt-40", tmp_path)
    assert [c.step for c in report.adopted] == [40]


def damage_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        ("estimator/model.ckpt-40.data-00000-of-00001", damage_middle, "checksum|crc32c"),
        ("estimator/model.ckpt-40.data-00000-of-00001", Path.unlink, "found only the index file"),
        ("estimator/model.ckpt-40.index", Path.unlink, "expected an .index file next to the data files"),
        ("estimator/model.ckpt-40.index", lambda path: os.truncate(path, 30), "model.ckpt-40.index"),
        ("keras/net.keras", lambda path: os.truncate(path, 0), "expected a Keras archive"),
        ("keras/net.keras", lambda path: os.truncate(path, 900), "net.keras"),
    ],
)
def test_adopt_with_a_broken_one_lists_it_and_takes_the_rest(
    name: str, damage: Any, reason: str, year_of_checkpoints: Year, tmp_path: Path
) -> None:
    shutil.copytree(year_of_checkpoints.folder, tmp_path / "year")
    damage(tmp_path / "year" / name)
    report = adopt(tmp_path / "year", tmp_path / "catalogue", recursive=True)
    assert len(report.adopted) == 11
    (broken,) = report.broken
    assert broken.uri in str(tmp_path / "year" / name)
    assert re.search(reason, broken.reason)


def test_adopt_nothing_but_broken_ones_is_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path / "run" / "ckpt-1", 1)
    (tmp_path / "run" / "ckpt-1.index").unlink()
    with pytest.raises(CheckpointCorrupt, match="only damaged ones .1.: .*an .index file next to the data"):
        adopt(tmp_path / "run", tmp_path / "catalogue")


def test_adopt_from_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFound, match="expected one checkpoint .* found none"):
        adopt(tmp_path, tmp_path / "catalogue", recursive=True)


def test_adopt_names_that_begin_alike_are_told_apart(tmp_path: Path) -> None:
    names = ["ckpt", "ckpt-1", "ckpt-10", "ckpt-1.best", "ckpt.epoch5", "ckpt-1/ckpt-1", "ckpta"]
    for number, name in enumerate(names):
        write_bundle(tmp_path / "run" / name, number, step=number)
    (tmp_path / "run" / "train-00000-of-00002").write_bytes(b"examples")
    (tmp_path / "run" / "notes-2024").write_text("a name that ends like a step")
    report = adopt(tmp_path / "run", tmp_path / "catalogue", recursive=True)
    assert {c.uri: c.step for c in report.adopted} == {
        str(tmp_path / "run" / name): number for number, name in enumerate(names)
    }
    assert report.broken == ()


def test_adopt_passes_over_the_weights_of_a_saved_model(tmp_path: Path) -> None:
    write_bundle(tmp_path / "run" / "model.ckpt-5", 1, step=5)
    write_bundle(tmp_path / "run" / "export" / "1700000000" / "variables" / "variables", 1)
    assert [c.step for c in adopt(tmp_path / "run", tmp_path / "to", recursive=True).adopted] == [5]


def test_adopt_with_a_given_time_asks_no_file(tmp_path: Path) -> None:
    write_bundle(tmp_path / "run" / "ckpt-1", 1)
    (tmp_path / "run" / "checkpoint").write_text("damaged {")
    with pytest.raises(CheckpointCorrupt, match="expected a text protocol buffer with model_checkpoint_path"):
        adopt(tmp_path / "run", tmp_path / "refused")
    report = adopt(tmp_path / "run", tmp_path / "catalogue", trained_at="2023-04-05T02:00:00+02:00")
    assert [c.trained_at for c in report.adopted] == ["2023-04-05T00:00:00Z"]


def test_adopt_with_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="trained_at: expected a time such as .* got 'yesterday'"):
        AdoptRequest(model=MODEL, source="a", catalogue="b", trained_at="yesterday")


def test_adopt_by_command_line_imports_no_tensorflow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bundle(tmp_path / "run" / "ckpt-7", 1, step=7)
    flags = ["--model", MODEL, "--from", str(tmp_path / "run"), "--catalogue", str(tmp_path / "to")]
    script = (
        "import sys; from redraw.__main__ import main; main(sys.argv[1:]);"
        " assert 'tensorflow' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "adopt", *flags], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["adopted"][0]["step"] == 7
    listed = ["checkpoints", "--model", MODEL, "--catalogue", str(tmp_path / "to")]
    assert main([*listed, "--format", "table"]) == 0
    assert "7-" in capsys.readouterr().out
    assert main([*listed, "--steps", "8", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["checkpoints"] == []


def test_adopt_newer_record_in_the_catalogue_fails_alone(year_of_checkpoints: Year, tmp_path: Path) -> None:
    source = year_of_checkpoints.folder / "estimator"
    adopt(source, tmp_path)
    record = next((tmp_path / MODEL).glob("40-*")) / "record.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"schema": 99}))
    report = adopt(source, tmp_path)
    assert (report.adopted, report.known) == ((), 2)
    (broken,) = report.broken
    assert "got 99: a newer version of Redraw wrote it" in broken.reason


def test_adopt_in_place_under_a_name_that_no_record_can_hold_is_broken(
    year_of_checkpoints: Year, bucket: str, tmp_path: Path
) -> None:
    storage = open_storage(f"{bucket}/old")
    for path in (year_of_checkpoints.folder / "estimator").glob("model.ckpt-[34]0*"):
        storage.create(path.name.replace("model.ckpt-30", "mo\u202edel.ckpt-30"), path)
    report = adopt(f"{bucket}/old", tmp_path, in_place=True)
    assert [c.uri for c in report.adopted] == [f"{bucket}/old/model.ckpt-40"]
    (broken,) = report.broken
    assert "expected gs://BUCKET" in broken.reason
    assert len(list(list_checkpoints(Uri(tmp_path), MODEL))) == 1
