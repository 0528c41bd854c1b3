"""Measure commands that do not need TensorFlow, versus the import of TensorFlow alone."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from functools import partial

from benchmarks.harness import Comparison, Run, take_turns
from benchmarks.workshop import MODEL, Workshop

__all__ = ["measure_commands"]

_EXPENSIVE = ("tensorflow", "keras")
_PRINT_IMPORTS = """
import json, runpy, sys
try:
    runpy.run_module("redraw", run_name="__main__", alter_sys=True)
finally:
    print(json.dumps(sorted(sys.modules)))
"""


def measure_commands(workshop: Workshop) -> tuple[Comparison, ...]:
    """Run whole processes that work on a small published model."""
    commands = _commands(workshop)
    ways: dict[str, Callable[[], Run]] = {
        "import tensorflow": lambda: workshop.python("-c", "import tensorflow"),
        **{name: partial(_run, workshop, make) for name, make in commands.items()},
    }
    series = take_turns(ways, workshop.turns)
    notes = {f"{name} imports": _expensive_imports(workshop, make()) for name, make in commands.items()}
    title = "Commands without TensorFlow: whole processes, versus its import alone"
    return (Comparison(title=title, series=series, notes=notes),)


def _run(workshop: Workshop, make: Callable[[], list[str]]) -> Run:
    return workshop.stage(*make())


def _commands(workshop: Workshop) -> dict[str, Callable[[], list[str]]]:
    """Name to a function that makes the command's arguments, with new output places each time."""
    example, settings, count = workshop.example, workshop.settings, itertools.count()
    bucket = ["--model", MODEL, "--bucket", f"{settings.model_bucket}/example"]
    run = example.records["train"]["uri"]
    prefix = f"{run}/checkpoints/ckpt-{example.records['train']['step']}"

    def checkpoint() -> list[str]:
        catalogue = os.fspath(workshop.folder / f"catalogue-{next(count)}")
        return ["checkpoint", "--model", MODEL, "--from", run, "--catalogue", catalogue, "--latest"]

    def push() -> list[str]:
        pushed = workshop.push_arguments(example.saved_model, example.report, f"push-{next(count)}")
        return ["push", "--model", MODEL, *pushed, "--make-live"]

    return {
        "inspect a checkpoint": lambda: ["inspect", prefix],
        "inspect a SavedModel": lambda: ["inspect", os.fspath(example.saved_model)],
        "checkpoint": checkpoint,
        "push": push,
        "live": lambda: ["live", *bucket],
        "releases": lambda: ["releases", *bucket],
    }


def _expensive_imports(workshop: Workshop, arguments: list[str]) -> str:
    """The expensive libraries that the command has imported when it ends."""
    run = workshop.python("-c", _PRINT_IMPORTS, *arguments)
    imported = json.loads(run.stdout.splitlines()[-1])
    return ", ".join(name for name in _EXPENSIVE if name in imported) or "neither tensorflow nor keras"
