"""What the commands that only look print: records of what they found.

As `redraw.records`, these are JSON, and need the standard library alone.
"""

from __future__ import annotations

from redraw.records.results.answers import (
    Answer,
    AnsweredTensor,
    ExampleRequest,
    ExampleRequests,
    Prediction,
    PredictionRow,
)
from redraw.records.results.comparison import (
    AnswerComparison,
    AnswerSlice,
    ComparedMetrics,
    DifferenceBar,
    DifferingAnswer,
    MeasuredTwice,
    OutputDifference,
    RequestSource,
    ValueChange,
)
from redraw.records.results.contents import (
    AdoptedCheckpoint,
    AdoptionReport,
    BrokenCheckpoint,
    CheckpointDescription,
    CheckpointList,
    DraftedDefinition,
    Finding,
    FoundRecording,
    HealedModel,
    ModelDescription,
    ModelList,
    SavedModelDescription,
    ScannedFiles,
    TensorDescription,
)
from redraw.records.results.differences import UnlikeVariable, VariableDifference, WeightDifferences
from redraw.records.results.upkeep import (
    EventList,
    LoggedVersion,
    MirroredModel,
    MirrorReport,
    Passport,
    PrunedVersion,
    PruneReport,
    VerifyReport,
)

__all__ = [
    "AdoptedCheckpoint",
    "AdoptionReport",
    "Answer",
    "AnswerComparison",
    "AnswerSlice",
    "AnsweredTensor",
    "BrokenCheckpoint",
    "CheckpointDescription",
    "CheckpointList",
    "ComparedMetrics",
    "DifferenceBar",
    "DifferingAnswer",
    "DraftedDefinition",
    "EventList",
    "ExampleRequest",
    "ExampleRequests",
    "Finding",
    "FoundRecording",
    "HealedModel",
    "LoggedVersion",
    "MeasuredTwice",
    "MirrorReport",
    "MirroredModel",
    "ModelDescription",
    "ModelList",
    "OutputDifference",
    "Passport",
    "Prediction",
    "PredictionRow",
    "PruneReport",
    "PrunedVersion",
    "RequestSource",
    "SavedModelDescription",
    "ScannedFiles",
    "TensorDescription",
    "UnlikeVariable",
    "ValueChange",
    "VariableDifference",
    "VerifyReport",
    "WeightDifferences",
]
