"""Send the same requests to two published versions, and compare their answers.

    two verified versions ─► two processes of the C++ runtime ◄─ requests, batch by batch
                                       └─► tallies of a bounded size ─► one record

No more than a few batches are in memory at once, however many requests there are.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from redraw.definition import ModelDefinition
from redraw.definition.registry import declared_ops, find_fitting
from redraw.errors import (
    InvalidDefinition,
    InvalidRequest,
    NotLoadable,
    RedrawError,
    UnknownModel,
    VersionNotFound,
    short_list,
)
from redraw.inspect.answers.comparison import ComparisonTally, common_signatures
from redraw.inspect.answers.pair import AnsweredBatch, VersionPair
from redraw.inspect.answers.record_parts import Problems
from redraw.inspect.answers.sources import Sources, demand_sources
from redraw.publish.bucket.verified import fetch_verified
from redraw.publish.live.set_live import read_pointer
from redraw.records import Release
from redraw.records.results import AnswerComparison
from redraw.requests import CompareAnswersRequest
from redraw.serving import LoadedModel, LoadFailed, ServingCrashed, ServingProcess
from redraw.storage.opening import Storage, demand_replaceable, open_storage, write_uri
from redraw.storage.scratch import scratch_folder
from redraw.uri import Uri

_logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES = 5.0
_TOLERANCE = ModelDefinition.change_tolerance


def compare_answers(request: CompareAnswersRequest) -> AnswerComparison:
    """Compare the answers of two versions.

    Args:
        request: The model, its bucket, the two versions, and the sources of requests.

    Returns:
        Figures for each output, slices, metrics of both, and what was left out.

    Raises:
        InvalidRequest: No request could be compared, or a file of requests does not exist.
        OutputExists: The record would replace a file that is no comparison of answers.
        VersionNotFound: One of the versions was never published, or is pruned.
        ObjectConflict: Its objects differ from what was published.
        NotLoadable: TensorFlow's C++ loader refuses a version.
        StorageError: A bucket cannot be read.
    """
    storage = open_storage(request.bucket)
    demand_sources(request.requests)
    if request.json is not None:
        demand_replaceable(request.json.absolute(), AnswerComparison, "--json")
    other = _live_version(storage, request) if request.other is None else request.other
    with scratch_folder("answers") as scratch, ServingProcess() as serving:
        releases = [
            fetch_verified(storage, request.model, version, scratch / side)
            for side, version in (("here", request.version), ("other", other))
        ]
        with ExitStack() as stack:
            models = [
                _load(serving, release, scratch / side, stack)
                for side, release in zip(("here", "other"), releases, strict=True)
            ]
            comparison = _compare(request, (releases[0], releases[1]), (models[0], models[1]), scratch)
    if request.json:
        _write(request.json.absolute(), comparison)
    return comparison


def _write(place: Uri, comparison: AnswerComparison) -> None:
    """Write the record; if that fails, the error has the record, so that the command prints it."""
    try:
        write_uri(place, comparison.to_bytes())
    except RedrawError as err:
        err.report = comparison
        raise
    except OSError as err:
        raise InvalidRequest(
            f"json {place}: cannot write this file: {err}. Name another file.",
            report=comparison,
        ) from err


def _live_version(storage: Storage, request: CompareAnswersRequest) -> int:
    live = read_pointer(storage, request.model).version
    if live is None:
        raise VersionNotFound(
            f"{request.bucket}/{request.model}: expected a live version to compare with, found none. Name a"
            " version with --other."
        )
    return live


def _load(serving: ServingProcess, release: Release, folder: Path, stack: ExitStack) -> LoadedModel:
    try:
        model = serving.load(
            folder, declared=lambda: declared_ops(release.model, release.checkpoint.trained_at)
        )
    except (LoadFailed, ServingCrashed) as err:
        raise NotLoadable(
            f"{release.uri}: TensorFlow's C++ loader cannot load this version: {err}. Choose another version."
        ) from err
    stack.callback(model.close)
    return model


def _compare(
    request: CompareAnswersRequest,
    releases: tuple[Release, Release],
    models: tuple[LoadedModel, LoadedModel],
    scratch: Path,
) -> AnswerComparison:
    started, problems = time.monotonic(), Problems()
    names = (f"version {releases[0].version}", f"version {releases[1].version}")
    common, notes = common_signatures(releases[0].signatures, releases[1].signatures, names)
    if not common:
        raise InvalidRequest(
            f"{request.model}: the two versions have no signature in common: {'; '.join(notes)}. Compare"
            " other versions."
        )
    sources = Sources(request, releases[0], common, scratch, problems)
    tally = ComparisonTally(_tolerance(request, releases[0], sources), request.slice)
    pair = VersionPair(*models, names, problems)
    for answered in _log_progress(pair.ask(sources.batches(pair.rows)), tally):
        tally.add(answered)
    definition = sources.definition() if tally.has_labels else None
    notes = [*problems.listed(), *sources.notes, *notes]
    if not tally.rows:
        reasons = short_list(notes, "reasons", 3, "; ") or "there are no requests"
        raise InvalidRequest(
            f"{request.model}: no request could be compared: {reasons}. Name other requests with --requests"
            " FILE."
        )
    for problem in problems.listed():
        _logger.warning("%s", problem)
    comparison = tally.result(request.model, (releases[0].version, releases[1].version), definition, notes)
    return replace(
        comparison,
        refused=pair.refused[0],
        refused_by_other=pair.refused[1],
        seconds=round(time.monotonic() - started, 3),
    )


def _tolerance(request: CompareAnswersRequest, release: Release, sources: Sources) -> float:
    """How much floats may differ, by the request or by the version's definition."""
    if request.tolerance is not None:
        return request.tolerance
    try:
        declared = find_fitting(release.model, release.checkpoint.trained_at).change_tolerance
    except (UnknownModel, InvalidDefinition) as err:
        _logger.warning("tolerance %s, for the definition cannot be used: %s", _TOLERANCE, err)
        return _TOLERANCE
    if declared is not None:
        return declared
    definition = sources.definition()
    return _TOLERANCE if definition is None else definition.change_tolerance


def _log_progress(answers: Iterator[AnsweredBatch], tally: ComparisonTally) -> Iterator[AnsweredBatch]:
    """Pass the answers on, and log the progress from time to time."""
    started = logged_at = time.monotonic()
    for answered in answers:
        yield answered
        now = time.monotonic()
        if now - logged_at > _SECONDS_BETWEEN_LINES:
            logged_at = now
            _logger.info("compared %d rows, %.0f a second", tally.rows, tally.rows / (now - started))
    seconds = time.monotonic() - started
    _logger.info(
        "compared %d rows in %.1f s, %.0f a second", tally.rows, seconds, tally.rows / max(seconds, 1e-9)
    )
