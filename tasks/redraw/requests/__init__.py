"""The requests of stages: one dataclass for each command, from flags or from JSON.

A field's name with hyphens is its flag, and its name (or `metadata["key"]`) is its JSON key. A record is
given as a JSON object, or as the URI that the stage before wrote. This package imports only the standard
library, because the operators build requests without TensorFlow.
"""

from redraw.requests.answers import AskRequest as AskRequest
from redraw.requests.answers import CompareAnswersRequest as CompareAnswersRequest
from redraw.requests.answers import DifferencesRequest as DifferencesRequest
from redraw.requests.answers import ExamplesRequest as ExamplesRequest
from redraw.requests.answers import PredictRequest as PredictRequest
from redraw.requests.exporting import DraftRequest as DraftRequest
from redraw.requests.exporting import ExportRequest as ExportRequest
from redraw.requests.exporting import HealRequest as HealRequest
from redraw.requests.exporting import InspectRequest as InspectRequest
from redraw.requests.exporting import ModelsRequest as ModelsRequest
from redraw.requests.exporting import ReexportRequest as ReexportRequest
from redraw.requests.exporting import ScanRequest as ScanRequest
from redraw.requests.exporting import ValidateRequest as ValidateRequest
from redraw.requests.publishing import EventsRequest as EventsRequest
from redraw.requests.publishing import LiveRequest as LiveRequest
from redraw.requests.publishing import LogToMlflowRequest as LogToMlflowRequest
from redraw.requests.publishing import MirrorRequest as MirrorRequest
from redraw.requests.publishing import PassportRequest as PassportRequest
from redraw.requests.publishing import PinRequest as PinRequest
from redraw.requests.publishing import PruneRequest as PruneRequest
from redraw.requests.publishing import PushRequest as PushRequest
from redraw.requests.publishing import RecoverRequest as RecoverRequest
from redraw.requests.publishing import ReleasesRequest as ReleasesRequest
from redraw.requests.publishing import RolloutRequest as RolloutRequest
from redraw.requests.publishing import VerifyRequest as VerifyRequest
from redraw.requests.request import Request as Request
from redraw.requests.training import AdoptRequest as AdoptRequest
from redraw.requests.training import CheckpointRequest as CheckpointRequest
from redraw.requests.training import CheckpointsRequest as CheckpointsRequest
from redraw.requests.training import TrainRequest as TrainRequest
