"""What passes from stage to stage: small frozen dataclasses in JSON, never a tensor.

    TrainingRun ─► Checkpoint ─► ExportedModel ─► ValidationReport ─► Release

Only the standard library is imported here: the operators read records in an
interpreter that may have no TensorFlow.
"""

from redraw.records.base import Record, UnreadableRecord
from redraw.records.making import (
    Checkpoint,
    CheckpointFormat,
    ExportedModel,
    LedgerSummary,
    Metrics,
    TrainingRun,
    WeightsKind,
    finite_metrics,
    format_metrics,
)
from redraw.records.provenance import MadeBy, Provenance
from redraw.records.release import LivePointer, PointerChange, PointerChangeKind, Pruned, Release, ReleaseList
from redraw.records.report import Check, ExaminedObjects, ValidationReport
from redraw.records.rollout import Rollout, ServerRollout, ServerState
from redraw.records.signature import Signature, TensorSpec

__all__ = [
    "Check",
    "Checkpoint",
    "CheckpointFormat",
    "ExaminedObjects",
    "ExportedModel",
    "LedgerSummary",
    "LivePointer",
    "MadeBy",
    "Metrics",
    "PointerChange",
    "PointerChangeKind",
    "Provenance",
    "Pruned",
    "Record",
    "Release",
    "ReleaseList",
    "Rollout",
    "ServerRollout",
    "ServerState",
    "Signature",
    "TensorSpec",
    "TrainingRun",
    "UnreadableRecord",
    "ValidationReport",
    "WeightsKind",
    "finite_metrics",
    "format_metrics",
]
