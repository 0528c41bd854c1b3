"""The errors of Redraw.

    RedrawError
    ├── UsageError                  flags that do not go together (exit 2)
    ├── InvalidSetting              a REDRAW_* value, or an option of [redraw], of a wrong type
    ├── MissingDependency           a library that the command needs is not installed in this interpreter
    ├── InvalidRequest              a request with a missing, unknown or wrong key
    ├── InvalidRecord               a record of another stage, or damaged
    │   └── NewerRecord             a record that a newer version of Redraw wrote
    ├── InvalidName                 a model, bucket or URI that could lead elsewhere
    ├── UnknownModel                no definition of that name in REDRAW_MODELS
    ├── InvalidDefinition           a definition that cannot be drawn or does not keep its contract
    ├── OutputExists                an output folder that already holds something
    ├── DiskFull                    no space left for what a stage writes
    ├── CheckpointError
    │   ├── CheckpointNotFound      nothing there, or not at that step
    │   ├── CheckpointCorrupt       a file missing, truncated or with a wrong checksum
    │   ├── CheckpointMismatch      whole, but of another model or network
    │   └── NonFiniteWeights        weights to serve that are NaN or infinite
    ├── ExportError                 the graph could not be drawn or written
    ├── ValidationFailed            at least one check did not pass
    ├── CheckpointsFailed           a batch with a checkpoint that failed; its report lists each
    ├── NotValidated                a push without a passing report for exactly that export
    ├── VerificationFailed          a published version that is not what its record says
    ├── NotLoadable                 a published version that a server would not load
    ├── NotAnswered                 a published version that refused a request, or crashed on it
    ├── RolloutFailed               a model server that lacks the version, or gives other answers
    ├── SignatureInvalid            a version without a signature that the public key confirms
    ├── WorkerLost                  another worker of a training is gone (worth a retry)
    ├── TrackingRefused             the MLflow server does not take what is logged
    ├── TrackingUnavailable         the MLflow server does not answer (worth a retry)
    └── StorageError
        ├── BucketNotFound          no such bucket
        ├── StorageForbidden        the credentials may not do that
        ├── ObjectConflict          another object is where this one has to go
        ├── VersionNotFound         no such version of that model in the bucket
        ├── OlderThanLive           an older-trained version asked to displace a newer one
        ├── VersionRejected         somebody rolled back from the version
        └── StorageUnavailable      the storage did not answer (worth a retry)

This module imports only the standard library, so that operators can name an error without the libraries that
raised it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Any, Protocol

_SPACES = re.compile(r"[\t\n\r]+")
_logger = logging.getLogger(__name__)
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def one_line(text: object, most: int = 2000) -> str:
    """Another library's message on one line, without Keras' colours, cut after `most` characters."""
    line = " ".join(_COLOURS.sub("", str(text)).split())
    return line if len(line) <= most else f"{line[:most]} …"


def short_list(items: Iterable[object], what: str, most: int = 5, separator: str = ", ") -> str:
    """The first items of a list, for a message; if it has more, the log lists all.

    Args:
        items: The items.
        what: A name for the items, for the log.
        most: The most items in the message.
        separator: The text between two items.
    """
    texts = [str(item) for item in items]
    if len(texts) <= most:
        return separator.join(texts)
    _logger.info("%s, all %d: %s", what, len(texts), separator.join(texts))
    return f"{separator.join(texts[:most])} … ({len(texts)} in all, which the log lists)"


class _Report(Protocol):
    """A record; this module cannot import records, because they import it."""

    def to_json(self) -> dict[str, Any]: ...


class RedrawError(Exception):
    """An expected failure: its message is one line that says what to do.

    Names in the message may come from anywhere, so its text is made printable.

    Attributes:
        retryable: Whether the same request can succeed later without a change.
        report: A record that is printed although the command failed; None for most errors.
    """

    retryable = False

    def __init__(self, message: str = "", report: _Report | None = None) -> None:
        super().__init__(message)
        self.report = report

    def __str__(self) -> str:
        return printable(super().__str__())


class UsageError(RedrawError):
    """The flags of a command do not go together."""


class MissingDependency(RedrawError):
    """A library that the command needs is not installed in this interpreter."""


class InvalidSetting(RedrawError):
    """A setting has a value of a wrong type; only what uses that setting fails."""


class InvalidRequest(RedrawError):
    """A stage's request lacks a key, has an unknown one, or one of a wrong type."""


class InvalidRecord(RedrawError):
    """A record is damaged, or was written by another stage than the one expected."""


class NewerRecord(InvalidRecord):
    """A newer version of Redraw wrote the record, in a form that this one does not know."""


class InvalidName(RedrawError):
    """A model name, a bucket or a URI that could lead somewhere else."""


class UnknownModel(RedrawError):
    """No definition of that name in the packages that REDRAW_MODELS lists."""


class InvalidDefinition(RedrawError):
    """A definition that cannot be loaded or drawn, or breaks its contract."""


class OutputExists(RedrawError):
    """The output folder already holds something that must not be overwritten."""


class DiskFull(RedrawError):
    """No space is left on the device that a stage writes to."""


class CheckpointError(RedrawError):
    """Something about a checkpoint."""


class CheckpointNotFound(CheckpointError):
    """No checkpoint there, or none at that step or with that metric."""


class CheckpointCorrupt(CheckpointError):
    """A checkpoint with a missing, truncated or altered file."""


class CheckpointMismatch(CheckpointError):
    """A whole checkpoint that belongs to another model or another network."""


class NonFiniteWeights(CheckpointError):
    """Weights that are to be served hold NaN or infinity, and the request does not allow it."""


class ExportError(RedrawError):
    """The inference graph could not be drawn, restored or written."""


class ValidationFailed(RedrawError):
    """At least one check of an export did not pass; the report says which."""


class CheckpointsFailed(RedrawError):
    """At least one checkpoint of a batch failed; the others were done, and the report lists all."""


class NotValidated(RedrawError):
    """A push without a passing report for exactly the export's digest."""


class VerificationFailed(RedrawError):
    """A published version is not what its release record says; the message names each difference."""


class NotLoadable(RedrawError):
    """A published version is not what a server can load."""


class NotAnswered(RedrawError):
    """A published version refused a request, died of it, or did not answer in time."""


class RolloutFailed(RedrawError):
    """A model server does not have the version by the end of the time, or does not answer as recorded."""


class SignatureInvalid(RedrawError):
    """A version has no signature, or none that the public key confirms."""


class WorkerLost(RedrawError):
    """Another worker of a distributed training is gone; all resume when all are started again."""

    retryable = True


class StorageError(RedrawError):
    """Something about the bucket or the folder that objects are kept in."""


class BucketNotFound(StorageError):
    """The bucket does not exist."""


class StorageForbidden(StorageError):
    """The credentials do not allow what was asked."""


class ObjectConflict(StorageError):
    """An object of other content stands where one has to go; it is left alone."""


class VersionNotFound(StorageError):
    """The model has no such published version."""


class OlderThanLive(StorageError):
    """A version trained before the live one was asked to take its place."""


class VersionRejected(StorageError):
    """Somebody rolled back from the version, and it may not become live again without a reason."""


class StorageUnavailable(StorageError):
    """The storage did not answer, or asked to come back later."""

    retryable = True


class TrackingRefused(RedrawError):
    """The MLflow server does not take what is logged."""


class TrackingUnavailable(RedrawError):
    """The MLflow server does not answer."""

    retryable = True


def printable(text: str) -> str:
    """A text on one line; characters that could control a terminal or reorder the line are escaped."""
    if text.isprintable():
        return text
    line = _SPACES.sub(" ", text)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def error_named(name: str) -> type[RedrawError]:
    """The error class of a name, or `RedrawError` for any other name."""
    error = globals().get(name)
    if isinstance(error, type) and issubclass(error, RedrawError):
        return error
    return RedrawError
