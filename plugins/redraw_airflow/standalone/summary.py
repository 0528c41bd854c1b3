"""Show the version that a run published, and the answers of the published model."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from redraw.errors import InvalidRecord
from redraw.records import Release, TensorSpec, format_metrics
from redraw.records.results import Prediction
from redraw_airflow.standalone.errors import EmbeddedError
from redraw_airflow.standalone.settings import Settings, stage_environment

_ASK_SECONDS = 300.0


def show_release(console: Console, release: Release) -> None:
    """Print the release: its version, place, metrics and signatures."""
    counts = Counter(check.status.replace("_", " ") for check in release.report.checks)
    facts = {
        "Published": f"{release.model} {release.version}",
        "URI": release.uri,
        "Digest": release.digest,
        "Size": f"{release.size_bytes / 1e6:.2f} MB",
        "Weights": f"{release.weights}, of step {release.checkpoint.step}",
        "Checks": ", ".join(f"{count} {status}" for status, count in counts.items()),
        "Metrics": format_metrics(release.checkpoint.metrics),
    }
    console.print()
    for name, value in facts.items():
        console.print(Text.assemble((f"{name:<10}", "bold"), value), soft_wrap=True)
    table = Table()
    for column in ("Signature", "Inputs", "Outputs"):
        table.add_column(column)
    for name, signature in release.signatures.items():
        table.add_row(Text(name), _tensors(signature.inputs), _tensors(signature.outputs))
    console.print(table)


def ask_release(settings: Settings, release: Release) -> Prediction:
    """Fetch the published version from its bucket and have it answer its examples.

    Raises:
        EmbeddedError: The version does not answer.
    """
    command = [
        sys.executable,
        "-m",
        "redraw",
        "predict",
        "--model",
        release.model,
        "--bucket",
        settings.model_bucket,
        "--version",
        str(release.version),
    ]
    try:
        process = subprocess.run(  # noqa: S603 - this program's own command line
            command,
            env=stage_environment(settings),
            cwd=settings.root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ASK_SECONDS,
            check=False,
        )
        lines = process.stderr.strip().splitlines()
        if process.returncode:
            raise EmbeddedError(f"{release.uri}: expected an answer, got: {lines[-1]}", tuple(lines[-5:]))
        return Prediction.from_text(process.stdout, release.uri)
    except (subprocess.TimeoutExpired, InvalidRecord) as err:
        raise EmbeddedError(f"{release.uri}: expected the published model's answers, got: {err}") from err


def show_prediction(console: Console, prediction: Prediction) -> None:
    """Print the labels of the first ten examples, and the model's answers."""
    rows = prediction.rows[:10]
    right = sum(row.correct for row in rows)
    console.print(f"\nAnswers of the published model, fetched from {prediction.uri}", soft_wrap=True)
    table = Table()
    for heading in ("Label", *(str(row.label) for row in rows)):
        table.add_column(heading, justify="right")
    answers = (Text(str(row.answer), style="green" if row.correct else "red") for row in rows)
    table.add_row(f"Answer ({prediction.output})", *answers)
    console.print(table)
    console.print(f"{right} of {len(rows)} right.")


def _tensors(specs: Mapping[str, TensorSpec]) -> Text:
    return Text("\n".join(f"{name}: {spec}" for name, spec in specs.items()))
