"""What each stage is asked: one dataclass a command, the same from flags and from JSON.

The field's name with hyphens is the flag, its JSON key is the name itself (or
`metadata["key"]`), its comment in `Attributes` is the help. A record is given as a
JSON object, or as the URI where the stage before left it. Only the standard library
is imported here: the operators build these without TensorFlow.
"""

from redraw.requests.asking import (
    AskRequest,
    CompareAnswersRequest,
    DifferencesRequest,
    ExamplesRequest,
    PredictRequest,
)
from redraw.requests.exporting import (
    DraftRequest,
    ExportRequest,
    HealRequest,
    InspectRequest,
    ModelsRequest,
    ReexportRequest,
    ScanRequest,
    ValidateRequest,
)
from redraw.requests.publishing import (
    EventsRequest,
    LiveRequest,
    LogToMlflowRequest,
    MirrorRequest,
    PassportRequest,
    PinRequest,
    PruneRequest,
    PushRequest,
    RecoverRequest,
    ReleasesRequest,
    RolloutRequest,
    VerifyRequest,
)
from redraw.requests.request import Request
from redraw.requests.training import AdoptRequest, CheckpointRequest, CheckpointsRequest, TrainRequest

__all__ = [
    "AdoptRequest",
    "AskRequest",
    "CheckpointRequest",
    "CheckpointsRequest",
    "CompareAnswersRequest",
    "DifferencesRequest",
    "DraftRequest",
    "EventsRequest",
    "ExamplesRequest",
    "ExportRequest",
    "HealRequest",
    "InspectRequest",
    "LiveRequest",
    "LogToMlflowRequest",
    "MirrorRequest",
    "ModelsRequest",
    "PassportRequest",
    "PinRequest",
    "PredictRequest",
    "PruneRequest",
    "PushRequest",
    "RecoverRequest",
    "ReexportRequest",
    "ReleasesRequest",
    "Request",
    "RolloutRequest",
    "ScanRequest",
    "TrainRequest",
    "ValidateRequest",
    "VerifyRequest",
]
