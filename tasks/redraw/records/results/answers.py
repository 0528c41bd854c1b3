"""Answers of published versions."""

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
    """One golden example: its label, and the model's answer."""

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
    """One output: its dtype, its shape, and its values as nested lists."""

    dtype: ShortText
    shape: Shape
    values: Any


@dataclass(frozen=True, kw_only=True)
class Answer(Record):
    """A published version's answer to one request.

    Attributes:
        model: The definition's name.
        version: The version that was asked.
        uri: Its folder in the bucket.
        signature: Which of its signatures.
        inputs: Input name to the request's values.
        outputs: Output name to the answer's values.
        seconds: How long the answer took.
        load_seconds: How long TensorFlow's C++ loader took.
        fetched: Whether the version had to be downloaded from the bucket.
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
    """The inputs and outputs of a signature, and an example request: input name to values."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    example: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ExampleRequests(Record):
    """An example request for each signature of a published version.

    Attributes:
        model: The definition's name.
        version: The version.
        uri: Its folder in the bucket.
        signatures: Signature name to its inputs, outputs and example request.
        can_be_asked: Whether this machine has a sandbox to run the version in.
        sandbox: The sandbox's protections, and what is missing.
    """

    model: ModelName
    version: Version
    uri: Uri
    signatures: Mapping[str, ExampleRequest]
    can_be_asked: bool
    sandbox: str
