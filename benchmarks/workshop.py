"""What the benchmarks have in common: commands, a scratch folder, servers, one published model.

Each is made at its first use, and removed with the workshop.
"""

from __future__ import annotations

import functools
import json
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import Run, run_command
from redraw_airflow.standalone.preflight import prepare_state
from redraw_airflow.standalone.processes import end_services
from redraw_airflow.standalone.services import check_services, start_services, start_storage
from redraw_airflow.standalone.settings import Settings, read_settings, stage_environment
from redraw_airflow.standalone.state import read_instance
from tests.fake_gcs import fake_server_command

__all__ = ["MODEL", "ROOT", "STEPS", "ByHand", "Workshop", "open_workshop"]

ROOT = Path(__file__).resolve().parents[1]
MODEL = "mnist"
# Enough for every seed to pass the definition's thresholds.
STEPS = 500


@dataclass(frozen=True, kw_only=True)
class ByHand:
    """The five stages, run one after the other from the command line.

    Attributes:
        runs: Stage to its run, in order.
        records: Stage to its record.
        saved_model: The folder of the export.
        report: The file of the validation's report.
    """

    runs: Mapping[str, Run]
    records: Mapping[str, Any]
    saved_model: Path
    report: Path


@dataclass(eq=False)
class Workshop:
    """The environment of the benchmarks.

    Attributes:
        folder: The scratch folder of this workshop.
        turns: How often each way is measured.
        say: Called with a line for each step.
    """

    folder: Path
    turns: int
    say: Callable[[str], None]

    @functools.cached_property
    def settings(self) -> Settings:
        """The settings of an embedded instance in the scratch folder, on free ports."""
        with socket.create_server(("127.0.0.1", 0)) as airflow, socket.create_server(("127.0.0.1", 0)) as gcs:
            ports = {
                "REDRAW_AIRFLOW_PORT": str(airflow.getsockname()[1]),
                "REDRAW_GCS_PORT": str(gcs.getsockname()[1]),
            }
        settings = read_settings({"REDRAW_STATE": os.fspath(self.folder / "state"), **ports})
        prepare_state(settings.state)
        return settings

    @functools.cached_property
    def environment(self) -> dict[str, str]:
        """The environment of a stage: with the storage server, and without Airflow's settings."""
        return stage_environment(self.settings)

    def python(self, *arguments: str, stdin: bytes = b"", variables: Mapping[str, str] | None = None) -> Run:
        """Run this interpreter in the checkout, with some arguments and more environment variables."""
        environment = self.environment | dict(variables or {})
        return run_command([sys.executable, *arguments], environment=environment, folder=ROOT, stdin=stdin)

    def stage(self, *arguments: str) -> Run:
        """Run `python -m redraw …`."""
        return self.python("-m", "redraw", *arguments)

    def start_storage(self) -> None:
        """Start the storage server, unless it runs."""
        instance = read_instance(self.settings.state)
        # Not Redraw's own, which lacks what clients other than a push need.
        command = fake_server_command(self.settings.gcs_url, self.settings.state / "gcs")
        start_storage(self.settings, instance.running() if instance else {}, self.say, command)

    def start_airflow(self) -> None:
        """Start Airflow and the storage server, unless they run."""
        self.start_storage()
        start_services(self.settings, read_instance(self.settings.state), self.say)

    def check_services(self) -> None:
        """Check that all started services still run."""
        instance = read_instance(self.settings.state)
        check_services(instance.services.values() if instance else ())

    def end_services(self) -> None:
        """End all started services, also those of an interrupted call."""
        # Each service is saved in the state folder when it is started.
        instance = read_instance(self.settings.state) if "settings" in vars(self) else None
        if instance is not None:
            end_services(instance.services.values())

    @functools.cached_property
    def example(self) -> ByHand:
        """A model that was trained and published by hand, for the small commands."""
        self.say(f"Training and publishing {MODEL} by hand, for the commands to work on.")
        return self.run_stages("example")

    def run_stages(self, name: str) -> ByHand:
        """Run the five stages from the command line, into a folder and a bucket prefix of the name."""
        self.start_storage()
        out = self.folder / name
        run, saved_model, report = out / "run", out / "model", out / "report.json"
        catalogue = f"{self.settings.checkpoint_bucket}/{name}"
        runs: dict[str, Run] = {}
        records: dict[str, Any] = {}

        def stage(command: str, *arguments: str) -> None:
            self.say(f"  {command}")
            runs[command] = self.stage(command, "--model", MODEL, *arguments)
            records[command] = json.loads(runs[command].stdout)

        stage("train", "--out", os.fspath(run), "--max-steps", str(STEPS))
        stage("checkpoint", "--from", os.fspath(run), "--catalogue", catalogue, "--latest")
        stage("export", "--checkpoint", records["checkpoint"]["uri"], "--out", os.fspath(saved_model))
        stage("validate", "--saved-model", os.fspath(saved_model), "--report", os.fspath(report))
        stage("push", *self.push_arguments(saved_model, report, name), "--make-live")
        return ByHand(runs=runs, records=records, saved_model=saved_model, report=report)

    def push_arguments(self, saved_model: Path, report: Path, prefix: str) -> list[str]:
        """The arguments of a push of the export below the prefix of the model bucket."""
        return [
            "--saved-model",
            os.fspath(saved_model),
            "--report",
            os.fspath(report),
            "--bucket",
            f"{self.settings.model_bucket}/{prefix}",
        ]


@contextmanager
def open_workshop(turns: int, say: Callable[[str], None]) -> Iterator[Workshop]:
    """A workshop in a temporary folder; all that it started, and the folder, end with it."""
    with tempfile.TemporaryDirectory(prefix="redraw-bench-") as folder:
        workshop = Workshop(folder=Path(folder), turns=turns, say=say)
        try:
            yield workshop
        finally:
            workshop.end_services()
