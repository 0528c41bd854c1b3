"""Measure how soon the pages of a model with 1,000 versions answer, versus Airflow's own API."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import httpx

from benchmarks.harness import BenchmarkFailed, Comparison, Run, take_turns
from benchmarks.workshop import MODEL, Workshop
from redraw.records import Check
from redraw.storage.opening import open_storage
from redraw_airflow.urls import MOUNT
from tests.redraw_airflow.web.page_server import run_pages
from tests.redraw_airflow.web.publications import pointer_record, publish, release_record, report_record

__all__ = ["measure_pages"]

_VERSIONS = 1000
# After so many seconds a listing is asked for again: the pages then cost what they cost a new visitor.
_LISTING_OLD = 2.1
# As many as a validation of the model that ships has, with evidence as long as theirs.
_CHECKS = 29
_EVIDENCE = "what was looked at, and what was found there, in a sentence or two of usual length. " * 2


def measure_pages(workshop: Workshop) -> tuple[Comparison, ...]:
    """Ask for the list of models, for versions that nobody has looked at, and for the same again."""
    workshop.start_storage()
    _publish_versions(workshop)
    home = workshop.folder / "pages"
    home.mkdir()
    variables = {
        name: workshop.environment[name]
        for name in ("STORAGE_EMULATOR_HOST", "REDRAW_MODEL_BUCKET", "REDRAW_CHECKPOINTS")
    }
    with run_pages(home, variables) as pages, pages.client("viewer") as viewer:
        unread = itertools.count(2)
        page = f"{MOUNT}/models/{MODEL}"
        series = take_turns(
            {
                "Airflow's /api/v2/dags, without any": _ask(viewer, itertools.repeat("/api/v2/dags")),
                "the list of models": _ask(viewer, itertools.repeat(f"{MOUNT}/models")),
                "a page of versions that nobody has read": _ask(
                    viewer, (f"{page}?page={number}" for number in unread), _LISTING_OLD
                ),
                "the first page of versions again": _ask(viewer, itertools.repeat(page), _LISTING_OLD),
                "charts of 300 versions again": _ask(viewer, itertools.repeat(f"{page}/charts")),
            },
            workshop.turns,
        )
    return (Comparison(title=f"Pages of a model with {_VERSIONS:,} versions", series=series),)


def _publish_versions(workshop: Workshop) -> None:
    checks = [
        Check(
            name=f"check-{number}", status="passed", looked_at=_EVIDENCE, expected=_EVIDENCE, found=_EVIDENCE
        )
        for number in range(_CHECKS)
    ]
    report = report_record(MODEL, *checks)
    releases = (replace(release_record(MODEL, day), report=report) for day in range(_VERSIONS))
    # Where this process, too, finds the storage server.
    os.environ["STORAGE_EMULATOR_HOST"] = workshop.settings.gcs_url
    publish(open_storage(workshop.settings.model_bucket), releases, pointer_record(MODEL, _VERSIONS - 1))


def _ask(viewer: httpx.Client, paths: Iterator[str], rest: float = 0.0) -> Callable[[], Run]:
    """Ask for the next path, after a rest in seconds that is not counted."""

    def run() -> Run:
        path = next(paths)
        time.sleep(rest)
        started = time.perf_counter()
        answer = viewer.get(path)
        seconds = time.perf_counter() - started
        if answer.status_code != 200:
            raise BenchmarkFailed(f"{path}: expected 200, got {answer.status_code}: {answer.text[:200]}")
        return Run(seconds=seconds)

    return run
