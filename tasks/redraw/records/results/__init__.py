"""Records that read-only commands print; standard library only."""

from __future__ import annotations

from redraw.records.results.answers import Answer as Answer
from redraw.records.results.answers import AnsweredTensor as AnsweredTensor
from redraw.records.results.answers import ExampleRequest as ExampleRequest
from redraw.records.results.answers import ExampleRequests as ExampleRequests
from redraw.records.results.answers import Prediction as Prediction
from redraw.records.results.answers import PredictionRow as PredictionRow
from redraw.records.results.comparison import AnswerComparison as AnswerComparison
from redraw.records.results.comparison import AnswerSlice as AnswerSlice
from redraw.records.results.comparison import ComparedMetrics as ComparedMetrics
from redraw.records.results.comparison import DifferenceBar as DifferenceBar
from redraw.records.results.comparison import DifferingAnswer as DifferingAnswer
from redraw.records.results.comparison import MeasuredTwice as MeasuredTwice
from redraw.records.results.comparison import OutputDifference as OutputDifference
from redraw.records.results.comparison import RequestSource as RequestSource
from redraw.records.results.comparison import UnlikeVariable as UnlikeVariable
from redraw.records.results.comparison import ValueChange as ValueChange
from redraw.records.results.comparison import VariableDifference as VariableDifference
from redraw.records.results.comparison import WeightDifferences as WeightDifferences
from redraw.records.results.contents import AdoptedCheckpoint as AdoptedCheckpoint
from redraw.records.results.contents import AdoptionReport as AdoptionReport
from redraw.records.results.contents import BrokenCheckpoint as BrokenCheckpoint
from redraw.records.results.contents import CheckpointDescription as CheckpointDescription
from redraw.records.results.contents import CheckpointList as CheckpointList
from redraw.records.results.contents import DraftedDefinition as DraftedDefinition
from redraw.records.results.contents import Finding as Finding
from redraw.records.results.contents import FoundRecording as FoundRecording
from redraw.records.results.contents import HealedModel as HealedModel
from redraw.records.results.contents import ModelDescription as ModelDescription
from redraw.records.results.contents import ModelList as ModelList
from redraw.records.results.contents import SavedModelDescription as SavedModelDescription
from redraw.records.results.contents import ScannedFiles as ScannedFiles
from redraw.records.results.contents import TensorDescription as TensorDescription
from redraw.records.results.upkeep import EventList as EventList
from redraw.records.results.upkeep import LoggedVersion as LoggedVersion
from redraw.records.results.upkeep import MirroredModel as MirroredModel
from redraw.records.results.upkeep import MirrorReport as MirrorReport
from redraw.records.results.upkeep import Passport as Passport
from redraw.records.results.upkeep import PrunedVersion as PrunedVersion
from redraw.records.results.upkeep import PruneReport as PruneReport
from redraw.records.results.upkeep import VerifyReport as VerifyReport
