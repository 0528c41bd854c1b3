"""What the commands that only look print: records of what they found.

As `tasks.records`, these are JSON, and need the standard library alone.
"""

from __future__ import annotations

from tasks.descriptions.answers import Answer, AnsweredTensor, Prediction, PredictionRow
from tasks.descriptions.contents import (
    AdoptedCheckpoint,
    AdoptionReport,
    BrokenCheckpoint,
    CheckpointDescription,
    CheckpointList,
    SavedModelDescription,
    TensorDescription,
)
from tasks.descriptions.definitions import ModelDescription, ModelList
from tasks.descriptions.differences import UnlikeVariable, VariableDifference, WeightDifferences
from tasks.descriptions.upkeep import MirroredModel, MirrorReport, PrunedVersion, PruneReport, VerifyReport

__all__ = [
    "AdoptedCheckpoint",
    "AdoptionReport",
    "Answer",
    "AnsweredTensor",
    "BrokenCheckpoint",
    "CheckpointDescription",
    "CheckpointList",
    "MirrorReport",
    "MirroredModel",
    "ModelDescription",
    "ModelList",
    "Prediction",
    "PredictionRow",
    "PruneReport",
    "PrunedVersion",
    "SavedModelDescription",
    "TensorDescription",
    "UnlikeVariable",
    "VariableDifference",
    "VerifyReport",
    "WeightDifferences",
]
