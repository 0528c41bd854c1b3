"""What passes from stage to stage: small frozen dataclasses in JSON, never a tensor.

    TrainingRun ─► Checkpoint ─► ExportedModel ─► ValidationReport ─► Release

Only the standard library is imported here: the operators read records in an
interpreter that may have no TensorFlow.
"""

from tasks.provenance import MadeBy, Provenance
from tasks.record import Record
from tasks.records.making import (
    Checkpoint,
    CheckpointFormat,
    ExportedModel,
    LedgerSummary,
    TrainingRun,
    WeightsKind,
)
from tasks.records.release import LivePointer, PointerChange, PointerChangeKind, Pruned, Release, ReleaseList
from tasks.records.report import Check, ExaminedObjects, ValidationReport
from tasks.signature import Signature, TensorSpec

__all__ = [
    "Check",
    "Checkpoint",
    "CheckpointFormat",
    "ExaminedObjects",
    "ExportedModel",
    "LedgerSummary",
    "LivePointer",
    "MadeBy",
    "PointerChange",
    "PointerChangeKind",
    "Provenance",
    "Pruned",
    "Record",
    "Release",
    "ReleaseList",
    "Signature",
    "TensorSpec",
    "TrainingRun",
    "ValidationReport",
    "WeightsKind",
]
