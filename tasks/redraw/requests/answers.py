"""Requests for published versions: answers, examples, and comparisons of two versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redraw.errors import InvalidRequest
from redraw.names import ModelName
from redraw.requests.request import Request, flag
from redraw.uri import BucketUri, LocalPath, Uri

_LONGEST_ANSWER = 86_400


@dataclass(frozen=True, kw_only=True)
class PredictRequest(Request):
    """Fetch a published version from its bucket and let it answer the labelled golden examples."""

    model: ModelName = flag("the definition's name")
    bucket: BucketUri = flag("gs:// URI of the model bucket")
    version: int | None = flag("the version to ask (default: the live one)", default=None)


@dataclass(frozen=True, kw_only=True)
class AskRequest(Request):
    """Fetch a published version from its bucket and have it answer one request."""

    model: ModelName = flag("the definition's name")
    bucket: BucketUri = flag("gs:// URI of the model bucket")
    version: int = flag("the version to ask")
    signature: str = flag("which of its signatures (default: serving_default)", default="serving_default")
    inputs: Mapping[str, Any] | None = flag(
        'JSON file of the inputs by name, bytes as {"b64": …} (default: its first warm-up request)',
        default=None,
    )
    cache: LocalPath | None = flag("folder for what was fetched (default: $REDRAW_CACHE)", default=None)
    seconds: float = flag("how long the answer may take (default: 30)", default=30.0)

    def __post_init__(self) -> None:
        """Demand a finite time."""
        super().__post_init__()
        if not 0 < self.seconds <= _LONGEST_ANSWER:
            raise InvalidRequest(
                f"ask request: seconds: expected more than 0 and at most {_LONGEST_ANSWER}, got"
                f" {self.seconds:g}. Correct the number of seconds."
            )


@dataclass(frozen=True, kw_only=True)
class ExamplesRequest(Request):
    """Show what each signature of a published version takes and answers, and a first request for it."""

    model: ModelName = flag("the definition's name")
    bucket: BucketUri = flag("gs:// URI of the model bucket")
    version: int = flag("the version")


@dataclass(frozen=True, kw_only=True)
class DifferencesRequest(Request):
    """Compare the weights of two published versions, variable by variable."""

    model: ModelName = flag("the definition's name")
    bucket: BucketUri = flag("gs:// URI of the model bucket")
    version: int = flag("the version to look at")
    other: int = flag("the version that it is compared with")


@dataclass(frozen=True, kw_only=True)
class CompareAnswersRequest(Request):
    """Ask two published versions the same requests, and compare their answers."""

    model: ModelName = flag("the definition's name")
    bucket: BucketUri = flag("gs:// URI of the model bucket")
    version: int = flag("the version to look at")
    other: int | None = flag("the version that it is compared with (default: the live one)", default=None)
    requests: tuple[str, ...] = flag(
        "file or gs:// URI of JSON lines or PredictionLog TFRecords; golden or held-out for examples; may be"
        " repeated (default: golden and held-out)",
        default=(),
    )
    slice: tuple[str, ...] = flag(
        "an input, a field of recorded requests or label:OUTPUT to group rows by; may be repeated", default=()
    )
    tolerance: float | None = flag(
        "how much floats may differ, absolute and relative, before a row counts as changed (default: the"
        " definition's change_tolerance)",
        default=None,
    )
    json: Uri | None = flag("file or gs:// URI for the record", default=None)

    def __post_init__(self) -> None:
        """Demand a valid tolerance."""
        super().__post_init__()
        if self.tolerance is not None and not 0 <= self.tolerance < float("inf"):
            raise InvalidRequest(
                f"compare-answers request: tolerance: expected a number of 0 or more, got {self.tolerance}."
                " Correct the tolerance."
            )
