"""One process that is measured: `python validate_worker.py WAY FOLDER`, figures as JSON on standard output.

`prepare-mnist` trains and exports into FOLDER; the other ways examine the export whose
record is `FOLDER/redraw.json`. What is imported is left out of time and memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["REDRAW_MODELS"] = "sample_models,redraw.models"
_TESTS = Path(__file__).parents[1] / "tests"
sys.path[0] = os.fspath(_TESTS.parent)
sys.path.append(os.fspath(_TESTS))

import tensorflow as tf  # noqa: E402 - found, and quiet, only after what stands above

from redraw.checkpoint.select import select_checkpoint  # noqa: E402
from redraw.definition.registry import load_definition  # noqa: E402
from redraw.export.export import export_model  # noqa: E402
from redraw.records import ExportedModel, ValidationReport  # noqa: E402
from redraw.requests import CheckpointRequest, ExportRequest, TrainRequest, ValidateRequest  # noqa: E402
from redraw.serving import ServingProcess  # noqa: E402
from redraw.train.train import train_model  # noqa: E402
from redraw.validate.subject import reference, session_reference  # noqa: E402, F401 - what a validation imports
from redraw.validate.validator import Validator  # noqa: E402

_BLOCK = 1 << 20
_STEPS = 500
_WATCH_SECONDS = 0.05


def prepare_mnist(folder: Path) -> dict[str, Any]:
    """A trained MNIST, exported."""
    run = train_model(TrainRequest(model="mnist", out=str(folder / "run"), max_steps=_STEPS))
    catalogue = str(folder / "catalogue")
    checkpoint = select_checkpoint(
        CheckpointRequest(model="mnist", source=run, catalogue=catalogue, latest=True)
    )
    export_model(ExportRequest(model="mnist", checkpoint=checkpoint, out=str(folder / "redraw")))
    return {}


def read_once(folder: Path) -> dict[str, Any]:
    """Read each byte of the export."""
    for path in sorted((folder / "redraw").rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                while file.read(_BLOCK):
                    pass
    return {}


def load(folder: Path) -> dict[str, Any]:
    """Load it in the C++ runtime, and nothing else."""
    with ServingProcess() as serving:
        serving.load(folder / "redraw")
        return {"serving_peak_bytes": max(_peaks_of_children())}


def validate(folder: Path) -> dict[str, Any]:
    """The whole stage."""
    exported = ExportedModel.from_text((folder / "redraw.json").read_bytes(), "redraw.json")
    report = folder / "report.json"
    peaks, ended = [0], threading.Event()
    watcher = threading.Thread(target=_watch_children, args=(peaks, ended))
    watcher.start()
    with Validator() as validator:
        started = time.perf_counter()
        validator.validate(ValidateRequest(model=exported.model, saved_model=exported, report=str(report)))
        seconds = time.perf_counter() - started
    ended.set()
    watcher.join()
    checks = ValidationReport.from_text(report.read_bytes(), "report").checks
    return {
        "serving_peak_bytes": max(peaks),
        "within_seconds": seconds,
        "checks": {check.name: check.seconds for check in checks},
    }


WAYS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "prepare-mnist": prepare_mnist,
    "read": read_once,
    "load": load,
    "validate": validate,
}


def main() -> None:
    """Go one way and say what it took."""
    way, folder = sys.argv[1], Path(sys.argv[2])
    os.chdir(folder)  # which the checkpoint's URI is relative to
    # TensorFlow starts its threads and devices at the first operation: part of its import.
    tf.constant(0)
    if way == "validate":
        load_definition(ExportedModel.from_text((folder / "redraw.json").read_bytes(), "record").model)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on
    before, started = _memory("self", "VmRSS"), time.perf_counter()
    found = WAYS[way](folder)
    figures = {
        "seconds": time.perf_counter() - started,
        "peak_bytes": _memory("self", "VmHWM") - before,
        **found,
    }
    sys.stdout.write(json.dumps(figures) + "\n")


def _peaks_of_children() -> Iterator[int]:
    own = os.getpid()
    for task in Path(f"/proc/{own}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield _memory(child, "VmHWM")


def _watch_children(peaks: list[int], ended: threading.Event) -> None:
    """Note the peak of the process that serves as long as it lives: it ends with the model."""
    while not ended.wait(_WATCH_SECONDS):
        with contextlib.suppress(OSError, StopIteration):
            peaks.extend(_peaks_of_children())


def _memory(process: str, name: str) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main()
