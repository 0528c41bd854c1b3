import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import pytest
import tensorflow as tf

from redraw.definition.registry import load_definition
from redraw.records import Checkpoint, ExportedModel
from tests.paths import ROOT, TESTS

MakeCheckpoint = Callable[[str], Checkpoint]
Exporter = Callable[..., ExportedModel]


@pytest.mark.parametrize("model", ["every_layer", "every_module"])
def test_export_again_gives_the_same_bytes_in_every_file(
    model: str, make_checkpoint: MakeCheckpoint, export: Exporter, samples: Path
) -> None:
    checkpoint = make_checkpoint(model)
    first = export(checkpoint, "first")
    disturb_counters()
    second = export(checkpoint, "another/second")
    assert contents(first.uri) == contents(second.uri)
    assert in_another_process(checkpoint, samples.parent / "third", samples.parent) == contents(first.uri)


def test_export_of_signatures_in_another_order_gives_the_same_bytes(
    make_checkpoint: MakeCheckpoint, export: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = make_checkpoint("every_layer")
    first = export(checkpoint, "first")
    assert len(first.signatures) > 1
    definition = type(load_definition("every_layer"))
    monkeypatch.setattr(definition, "signatures", dict(reversed(definition.signatures.items())))
    second = export(checkpoint, "second")
    assert list(second.signatures) != list(first.signatures)
    assert contents(first.uri) == contents(second.uri)


def disturb_counters() -> None:
    """What an earlier task of the same process may have left behind."""
    keras.Sequential([keras.Input([2]), keras.layers.Dense(3), keras.layers.StringLookup(vocabulary=["a"])])
    tf.function(lambda x: tf.map_fn(lambda y: y + 1, x))(tf.zeros([2]))


def in_another_process(checkpoint: Checkpoint, out: Path, folder: Path) -> dict[str, bytes]:
    request = {"model": checkpoint.model, "checkpoint": checkpoint.to_json(), "out": str(out)}
    paths = [str(ROOT / "tasks"), str(TESTS)]
    subprocess.run(
        [sys.executable, "-m", "redraw", "export", "--request", "-"],
        input=json.dumps(request),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONHASHSEED": "4711"},
        cwd=folder,
        text=True,
        capture_output=True,
        check=True,
    )
    return contents(str(out))


def contents(folder: str) -> dict[str, bytes]:
    files = (path for path in Path(folder).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
