"""The measured process: `python validate_worker.py WAY FOLDER`; it prints figures as JSON.

`prepare-mnist` trains and exports into FOLDER; the other ways examine the export of the record
`FOLDER/redraw.json`. Time and memory do not include imports.
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

import tensorflow as tf  # noqa: E402 - needs the path and the variables above

from redraw.checkpoint.select import select_checkpoint  # noqa: E402
from redraw.definition.registry import load_definition  # noqa: E402
from redraw.export.export import export_model  # noqa: E402
from redraw.records import ExportedModel, ValidationReport  # noqa: E402
from redraw.requests import CheckpointRequest, ExportRequest, TrainRequest, ValidateRequest  # noqa: E402
from redraw.serving import ServingProcess  # noqa: E402
from redraw.train.train import train_model  # noqa: E402
from redraw.validate.subject import reference, session_reference  # noqa: E402, F401 - a validation imports them
from redraw.validate.validator import Validator  # noqa: E402

_BLOCK = 1 << 20
_STEPS = 500
_WATCH_SECONDS = 0.05


def prepare_mnist(folder: Path) -> dict[str, Any]:
    """Train and export MNIST."""
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
    """Only load it in the C++ runtime."""
    with ServingProcess() as serving:
        serving.load(folder / "redraw")
        return {"serving_peak_bytes": max(_peaks_of_children())}


def validate(folder: Path) -> dict[str, Any]:
    """Run the whole stage."""
    exported = ExportedModel.from_text((folder / "redraw.json").read_bytes(), "redraw.json")
    report = folder / "report.json"
    peaks, stop = [0], threading.Event()
    watcher = threading.Thread(target=_watch_children, args=(peaks, stop))
    watcher.start()
    with Validator() as validator:
        start = time.perf_counter()
        validator.validate(ValidateRequest(model=exported.model, saved_model=exported, report=str(report)))
        seconds = time.perf_counter() - start
    stop.set()
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
    """Run one way and print its figures."""
    way, folder = sys.argv[1], Path(sys.argv[2])
    os.chdir(folder)  # the checkpoint's URI is relative to it
    # TensorFlow starts threads and devices at the first operation, which counts as its import.
    tf.constant(0)
    if way == "validate":
        load_definition(ExportedModel.from_text((folder / "redraw.json").read_bytes(), "record").model)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before, start = _memory("self", "VmRSS"), time.perf_counter()
    way_figures = WAYS[way](folder)
    figures = {
        "seconds": time.perf_counter() - start,
        "peak_bytes": _memory("self", "VmHWM") - before,
        **way_figures,
    }
    sys.stdout.write(json.dumps(figures) + "\n")


def _peaks_of_children() -> Iterator[int]:
    process_id = os.getpid()
    for task in Path(f"/proc/{process_id}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield _memory(child, "VmHWM")


def _watch_children(peaks: list[int], stop: threading.Event) -> None:
    """Note the peak of the serving process while it runs; it ends with the model."""
    while not stop.wait(_WATCH_SECONDS):
        with contextlib.suppress(OSError, StopIteration):
            peaks.extend(_peaks_of_children())


def _memory(process: str, name: str) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main()
