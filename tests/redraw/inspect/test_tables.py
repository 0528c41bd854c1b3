"""What `inspect` prints: tables for people, JSON for programs, and no command for a terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from redraw.__main__ import main
from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.inspect.tables import print_tables
from redraw.records import Signature, TensorSpec
from redraw.records.results import (
    CheckpointDescription,
    FoundRecording,
    SavedModelDescription,
    TensorDescription,
)

WEIGHT = TensorDescription(
    key="dense/kernel", dtype="float32", shape=(3, 2), size_bytes=24, role="model weight"
)


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """A checkpoint of names, with slots and an average."""
    with BundleWriter(tmp_path / "model.ckpt-9") as writer:
        writer.add_array("global_step", np.int64(9))
        writer.add_array("w", np.zeros((1000, 300), np.float32))
        writer.add_array("w/Adam", np.zeros((1000, 300), np.float32))
        writer.add_array("w/Adam_1", np.zeros((1000, 300), np.float32))
        writer.add_array("w/ExponentialMovingAverage", np.zeros((1000, 300), np.float32))
    return tmp_path / "model.ckpt-9"


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_inspect_as_table_shows_facts_roles_and_tensors(
    prefix: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(prefix), "--format", "table"]) == 0
    lines = capsys.readouterr().out.splitlines()
    facts = dict(line.split(maxsplit=1) for line in lines[:3])
    assert facts == {"Checkpoint": str(prefix), "Format": "tensor_bundle", "Step": "9"}
    rows = [cells(line) for line in lines if line.startswith("│")]
    assert ["slot variable", "2", "2.4 MB"] in rows
    assert ["moving average", "1", "1.2 MB"] in rows
    assert ["w/Adam_1", "1.2 MB", "float32", "[1000, 300]", "slot variable"] in rows
    assert ["global_step", "8 B", "int64", "[]", "step"] in rows


def test_inspect_into_a_pipe_prints_json_unless_asked(
    prefix: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in ([], ["--format", "json"]):
        assert main(["inspect", str(prefix), *arguments]) == 0
        assert json.loads(capsys.readouterr().out)["step"] == 9


def test_inspect_on_a_terminal_prints_tables(prefix: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "redraw", "inspect", str(prefix)]
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, timeout=60)
        os.close(theirs)
        shown = terminal.read(1 << 16).decode()
    assert done.returncode == 0, done.stderr
    assert "Checkpoint" in shown.splitlines()[0]
    assert "global_step" in shown


def test_inspect_a_name_that_is_no_text_prints_it_escaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = b"w\xff\x1b[2J[bold]".decode("utf-8", "surrogateescape")
    with BundleWriter(tmp_path / "odd") as writer:
        writer.add_array(key, np.zeros(3, np.float32))
    assert main(["inspect", str(tmp_path / "odd")]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [tensor["key"] for tensor in printed["tensors"]] == [key]
    assert main(["inspect", str(tmp_path / "odd"), "--format", "table"]) == 0
    shown = capsys.readouterr().out
    assert r"w\udcff\x1b[2J[bold]" in shown
    assert "\x1b" not in shown


def test_print_tables_of_a_saved_model_shows_signatures_variables_and_operations(
    capsys: pytest.CaptureFixture[str],
) -> None:
    image, digit = TensorSpec("uint8", (None, 28, 28)), TensorSpec("int64", (None,))
    print_tables(
        SavedModelDescription(
            uri="gs://models/digits",
            tags=("serve",),
            signatures={"serving_default": Signature(inputs={"image": image}, outputs={"digit": digit})},
            variables=(WEIGHT,),
            operations={"ArgMax": 1, "MatMul": 1200},
            size_bytes=3_500_000,
        )
    )
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["SavedModel", "gs://models/digits"],
        ["Tags", "serve"],
        ["Size", "3.5", "MB"],
    ]
    rows = [cells(line) for line in lines if line.startswith("│")]
    assert rows == [
        ["serving_default", "image: uint8 [None, 28, 28]", "digit: int64 [None]"],
        ["dense/kernel", "24 B", "float32", "[3, 2]", "model weight"],
        ["ArgMax", "1"],
        ["MatMul", "1,200"],
    ]


def test_print_tables_of_long_names_shows_them_whole(capsys: pytest.CaptureFixture[str]) -> None:
    key = "/".join(f"layer_with_weights-{number}" for number in range(12))
    tensor = TensorDescription(key=key, dtype="float32", shape=(3,), size_bytes=12, role="model weight")
    print_tables(
        CheckpointDescription(
            uri="run/ckpt",
            format="tensor_bundle",
            step=None,
            shards=1200,
            size_bytes=1_000_000,
            tensors=(tensor,),
        )
    )
    lines = capsys.readouterr().out.splitlines()
    assert [" ".join(line.split()) for line in lines[2:5]] == [
        "Step unknown",
        "Data files 1,200",
        "Size 1.0 MB",
    ]
    folded = [cells(line)[0] for line in lines if line.startswith("│") and len(cells(line)) == 5]
    assert "".join(folded) == key


def test_print_tables_of_roles_begin_with_the_largest_and_add_up(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = (("step", 8), ("slot variable", 999_999), ("model weight", 7), ("step", 4))
    tensors = [replace(WEIGHT, role=role, size_bytes=size) for role, size in sizes]
    print_tables(
        CheckpointDescription(
            uri="run/ckpt", format="keras_h5", step=0, shards=1, size_bytes=12, tensors=(*tensors,)
        )
    )
    rows = [cells(line) for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert rows[:3] == [
        ["slot variable", "1", "999,999 B"],
        ["step", "2", "12 B"],
        ["model weight", "1", "7 B"],
    ]


def test_print_tables_of_a_checkpoint_shows_the_graph_next_to_it_and_how_to_draft_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    recording = FoundRecording(
        uri="run/model.meta",
        command="redraw draft run/model.meta",
        operations=1200,
        sources=("x:0: a placeholder",),
        outputs=("logits:0: training compares it with labels", "classes:0: an ArgMax"),
    )
    description = CheckpointDescription(
        uri="run/ckpt", format="tensor_bundle", step=9, shards=1, size_bytes=24, tensors=(WEIGHT,)
    )
    for graph, shown in (
        (recording, "1,200 operations, recorded by training"),
        (replace(recording, problem="cut off"), "cut off"),
    ):
        print_tables(replace(description, recording=graph))
        lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()[5:10]]
        assert lines == [
            f"Graph run/model.meta: {shown}",
            "given x:0: a placeholder",
            "answers logits:0: training compares it with labels",
            "answers classes:0: an ArgMax",
            "draft redraw draft run/model.meta --name NAME --out PACKAGE",
        ]
