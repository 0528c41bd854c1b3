"""What published versions answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redraw.names import ModelName
from redraw.records import Record, TensorSpec
from redraw.records.forms import Seconds, Shape, ShortText, Version
from redraw.uri import Uri


@dataclass(frozen=True, kw_only=True)
class PredictionRow:
    """One golden example: what it is labelled, and what the model answered."""

    label: Any
    answer: Any
    correct: bool


@dataclass(frozen=True, kw_only=True)
class Prediction(Record):
    """A published version's answers to the labelled golden examples of its definition."""

    model: ModelName
    version: Version
    uri: Uri
    signature: str
    output: str
    rows: tuple[PredictionRow, ...]


@dataclass(frozen=True, kw_only=True)
class AnsweredTensor:
    """One output: its dtype, its shape, and its values as lists in lists, as requests carry them."""

    dtype: ShortText
    shape: Shape
    values: Any


@dataclass(frozen=True, kw_only=True)
class Answer(Record):
    """What a published version answered to one request.

    Attributes:
        model: The definition's name.
        version: The version that was asked.
        uri: Its folder in the bucket.
        signature: Which of its signatures.
        inputs: Input name to the values that it was asked.
        outputs: Output name to what it answered.
        seconds: How long the answer took.
        load_seconds: How long TensorFlow's C++ loader took.
        fetched: Whether the version had to be fetched from the bucket.
    """

    model: ModelName
    version: Version
    uri: Uri
    signature: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, AnsweredTensor]
    seconds: Seconds
    load_seconds: Seconds
    fetched: bool


@dataclass(frozen=True)
class ExampleRequest:
    """What a signature takes and answers, and a first request for it: input name to values."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    example: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ExampleRequests(Record):
    """A first request for each signature of a published version.

    Attributes:
        model: The definition's name.
        version: The version.
        uri: Its folder in the bucket.
        signatures: Signature name to what it takes and answers, and a first request.
        can_be_asked: Whether this machine has a sandbox to ask the version in.
        sandbox: What is in force in it, and what is missing.
    """

    model: ModelName
    version: Version
    uri: Uri
    signatures: Mapping[str, ExampleRequest]
    can_be_asked: bool
    sandbox: str
