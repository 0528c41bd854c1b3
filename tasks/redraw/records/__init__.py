"""The records that stages pass on: small frozen dataclasses in JSON, without tensors.

    TrainingRun ─► Checkpoint ─► ExportedModel ─► ValidationReport ─► Release

This package imports only the standard library, because operators read records in an interpreter that may have
no TensorFlow.
"""

from redraw.records.base import Record as Record
from redraw.records.base import UnreadableRecord as UnreadableRecord
from redraw.records.making import Checkpoint as Checkpoint
from redraw.records.making import CheckpointFormat as CheckpointFormat
from redraw.records.making import ExportedModel as ExportedModel
from redraw.records.making import LedgerSummary as LedgerSummary
from redraw.records.making import MadeBy as MadeBy
from redraw.records.making import Metrics as Metrics
from redraw.records.making import Provenance as Provenance
from redraw.records.making import TrainingRun as TrainingRun
from redraw.records.making import WeightsKind as WeightsKind
from redraw.records.making import finite_metrics as finite_metrics
from redraw.records.making import format_metrics as format_metrics
from redraw.records.release import LivePointer as LivePointer
from redraw.records.release import PointerChange as PointerChange
from redraw.records.release import PointerChangeKind as PointerChangeKind
from redraw.records.release import Pruned as Pruned
from redraw.records.release import Release as Release
from redraw.records.release import ReleaseList as ReleaseList
from redraw.records.report import Check as Check
from redraw.records.report import ExaminedObjects as ExaminedObjects
from redraw.records.report import ValidationReport as ValidationReport
from redraw.records.rollout import Rollout as Rollout
from redraw.records.rollout import ServerRollout as ServerRollout
from redraw.records.rollout import ServerState as ServerState
from redraw.records.signature import Signature as Signature
from redraw.records.signature import TensorSpec as TensorSpec
