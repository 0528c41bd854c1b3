"""The public names, for type checkers; the package imports each when it is first used."""

from redraw.ask.ask import (
    ask_version as ask_version,
)
from redraw.ask.golden import (
    predict_golden as predict_golden,
)
from redraw.checkpoint.catalogue.adopt import (
    adopt_checkpoints as adopt_checkpoints,
)
from redraw.checkpoint.catalogue.listing import (
    list_catalogue as list_catalogue,
)
from redraw.checkpoint.select import (
    select_checkpoint as select_checkpoint,
)
from redraw.definition import (
    Applies as Applies,
)
from redraw.definition import (
    Budget as Budget,
)
from redraw.definition import (
    ConfiguredDefinition as ConfiguredDefinition,
)
from redraw.definition import (
    GoldenExamples as GoldenExamples,
)
from redraw.definition import (
    GraphFunctionDefinition as GraphFunctionDefinition,
)
from redraw.definition import (
    Mode as Mode,
)
from redraw.definition import (
    ModelDefinition as ModelDefinition,
)
from redraw.definition import (
    OutsideReference as OutsideReference,
)
from redraw.definition import (
    RecordedDefinition as RecordedDefinition,
)
from redraw.definition import (
    Signature as Signature,
)
from redraw.definition import (
    TensorSpec as TensorSpec,
)
from redraw.definition import (
    Threshold as Threshold,
)
from redraw.definition import (
    TrainingPlan as TrainingPlan,
)
from redraw.definition.describe import (
    describe_models as describe_models,
)
from redraw.draft.draft import (
    draft_definition as draft_definition,
)
from redraw.errors import (
    BucketNotFound as BucketNotFound,
)
from redraw.errors import (
    CheckpointCorrupt as CheckpointCorrupt,
)
from redraw.errors import (
    CheckpointError as CheckpointError,
)
from redraw.errors import (
    CheckpointMismatch as CheckpointMismatch,
)
from redraw.errors import (
    CheckpointNotFound as CheckpointNotFound,
)
from redraw.errors import (
    CheckpointsFailed as CheckpointsFailed,
)
from redraw.errors import (
    DiskFull as DiskFull,
)
from redraw.errors import (
    ExportError as ExportError,
)
from redraw.errors import (
    InvalidDefinition as InvalidDefinition,
)
from redraw.errors import (
    InvalidName as InvalidName,
)
from redraw.errors import (
    InvalidRecord as InvalidRecord,
)
from redraw.errors import (
    InvalidRequest as InvalidRequest,
)
from redraw.errors import (
    InvalidSetting as InvalidSetting,
)
from redraw.errors import (
    MissingDependency as MissingDependency,
)
from redraw.errors import (
    NewerRecord as NewerRecord,
)
from redraw.errors import (
    NonFiniteWeights as NonFiniteWeights,
)
from redraw.errors import (
    NotAnswered as NotAnswered,
)
from redraw.errors import (
    NotLoadable as NotLoadable,
)
from redraw.errors import (
    NotValidated as NotValidated,
)
from redraw.errors import (
    ObjectConflict as ObjectConflict,
)
from redraw.errors import (
    OlderThanLive as OlderThanLive,
)
from redraw.errors import (
    OutputExists as OutputExists,
)
from redraw.errors import (
    RedrawError as RedrawError,
)
from redraw.errors import (
    RolloutFailed as RolloutFailed,
)
from redraw.errors import (
    SignatureInvalid as SignatureInvalid,
)
from redraw.errors import (
    StorageError as StorageError,
)
from redraw.errors import (
    StorageForbidden as StorageForbidden,
)
from redraw.errors import (
    StorageUnavailable as StorageUnavailable,
)
from redraw.errors import (
    UnknownModel as UnknownModel,
)
from redraw.errors import (
    UsageError as UsageError,
)
from redraw.errors import (
    ValidationFailed as ValidationFailed,
)
from redraw.errors import (
    VerificationFailed as VerificationFailed,
)
from redraw.errors import (
    VersionNotFound as VersionNotFound,
)
from redraw.errors import (
    VersionRejected as VersionRejected,
)
from redraw.errors import (
    WorkerLost as WorkerLost,
)
from redraw.export.export import (
    export_model as export_model,
)
from redraw.heal.heal import (
    heal_saved_model as heal_saved_model,
)
from redraw.heal.scan import (
    scan_files as scan_files,
)
from redraw.inspect.differences.compare import (
    compare_weights as compare_weights,
)
from redraw.inspect.inspect import (
    inspect_uri as inspect_uri,
)
from redraw.publish.changes import (
    list_events as list_events,
)
from redraw.publish.live.pin import (
    pin_version as pin_version,
)
from redraw.publish.live.set_live import (
    change_live as change_live,
)
from redraw.publish.mirror import (
    mirror_versions as mirror_versions,
)
from redraw.publish.passport.passport import (
    write_passport as write_passport,
)
from redraw.publish.prune.prune import (
    prune_versions as prune_versions,
)
from redraw.publish.push.push import (
    push_model as push_model,
)
from redraw.publish.recover import (
    recover_pointer as recover_pointer,
)
from redraw.publish.releases import (
    list_releases as list_releases,
)
from redraw.publish.tracking import (
    log_to_mlflow as log_to_mlflow,
)
from redraw.publish.verify import (
    verify_version as verify_version,
)
from redraw.records import (
    Check as Check,
)
from redraw.records import (
    Checkpoint as Checkpoint,
)
from redraw.records import (
    CheckpointFormat as CheckpointFormat,
)
from redraw.records import (
    ExaminedObjects as ExaminedObjects,
)
from redraw.records import (
    ExportedModel as ExportedModel,
)
from redraw.records import (
    LedgerSummary as LedgerSummary,
)
from redraw.records import (
    LivePointer as LivePointer,
)
from redraw.records import (
    MadeBy as MadeBy,
)
from redraw.records import (
    PointerChange as PointerChange,
)
from redraw.records import (
    PointerChangeKind as PointerChangeKind,
)
from redraw.records import (
    Provenance as Provenance,
)
from redraw.records import (
    Pruned as Pruned,
)
from redraw.records import (
    Record as Record,
)
from redraw.records import (
    Release as Release,
)
from redraw.records import (
    ReleaseList as ReleaseList,
)
from redraw.records import (
    Rollout as Rollout,
)
from redraw.records import (
    ServerRollout as ServerRollout,
)
from redraw.records import (
    TrainingRun as TrainingRun,
)
from redraw.records import (
    UnreadableRecord as UnreadableRecord,
)
from redraw.records import (
    ValidationReport as ValidationReport,
)
from redraw.records import (
    WeightsKind as WeightsKind,
)
from redraw.records.results import (
    AdoptedCheckpoint as AdoptedCheckpoint,
)
from redraw.records.results import (
    AdoptionReport as AdoptionReport,
)
from redraw.records.results import (
    Answer as Answer,
)
from redraw.records.results import (
    AnsweredTensor as AnsweredTensor,
)
from redraw.records.results import (
    BrokenCheckpoint as BrokenCheckpoint,
)
from redraw.records.results import (
    CheckpointDescription as CheckpointDescription,
)
from redraw.records.results import (
    CheckpointList as CheckpointList,
)
from redraw.records.results import (
    DraftedDefinition as DraftedDefinition,
)
from redraw.records.results import (
    EventList as EventList,
)
from redraw.records.results import (
    ExampleRequest as ExampleRequest,
)
from redraw.records.results import (
    ExampleRequests as ExampleRequests,
)
from redraw.records.results import (
    Finding as Finding,
)
from redraw.records.results import (
    HealedModel as HealedModel,
)
from redraw.records.results import (
    MirroredModel as MirroredModel,
)
from redraw.records.results import (
    MirrorReport as MirrorReport,
)
from redraw.records.results import (
    ModelDescription as ModelDescription,
)
from redraw.records.results import (
    ModelList as ModelList,
)
from redraw.records.results import (
    Passport as Passport,
)
from redraw.records.results import (
    Prediction as Prediction,
)
from redraw.records.results import (
    PredictionRow as PredictionRow,
)
from redraw.records.results import (
    PrunedVersion as PrunedVersion,
)
from redraw.records.results import (
    PruneReport as PruneReport,
)
from redraw.records.results import (
    SavedModelDescription as SavedModelDescription,
)
from redraw.records.results import (
    ScannedFiles as ScannedFiles,
)
from redraw.records.results import (
    TensorDescription as TensorDescription,
)
from redraw.records.results import (
    UnlikeVariable as UnlikeVariable,
)
from redraw.records.results import (
    VariableDifference as VariableDifference,
)
from redraw.records.results import (
    VerifyReport as VerifyReport,
)
from redraw.records.results import (
    WeightDifferences as WeightDifferences,
)
from redraw.reexport.reexport import (
    reexport_checkpoints as reexport_checkpoints,
)
from redraw.requests import (
    AdoptRequest as AdoptRequest,
)
from redraw.requests import (
    AskRequest as AskRequest,
)
from redraw.requests import (
    CheckpointRequest as CheckpointRequest,
)
from redraw.requests import (
    CheckpointsRequest as CheckpointsRequest,
)
from redraw.requests import (
    DifferencesRequest as DifferencesRequest,
)
from redraw.requests import (
    DraftRequest as DraftRequest,
)
from redraw.requests import (
    EventsRequest as EventsRequest,
)
from redraw.requests import (
    ExamplesRequest as ExamplesRequest,
)
from redraw.requests import (
    ExportRequest as ExportRequest,
)
from redraw.requests import (
    HealRequest as HealRequest,
)
from redraw.requests import (
    InspectRequest as InspectRequest,
)
from redraw.requests import (
    LiveRequest as LiveRequest,
)
from redraw.requests import (
    LogToMlflowRequest as LogToMlflowRequest,
)
from redraw.requests import (
    MirrorRequest as MirrorRequest,
)
from redraw.requests import (
    ModelsRequest as ModelsRequest,
)
from redraw.requests import (
    PassportRequest as PassportRequest,
)
from redraw.requests import (
    PinRequest as PinRequest,
)
from redraw.requests import (
    PredictRequest as PredictRequest,
)
from redraw.requests import (
    PruneRequest as PruneRequest,
)
from redraw.requests import (
    PushRequest as PushRequest,
)
from redraw.requests import (
    RecoverRequest as RecoverRequest,
)
from redraw.requests import (
    ReexportRequest as ReexportRequest,
)
from redraw.requests import (
    ReleasesRequest as ReleasesRequest,
)
from redraw.requests import (
    Request as Request,
)
from redraw.requests import (
    RolloutRequest as RolloutRequest,
)
from redraw.requests import (
    ScanRequest as ScanRequest,
)
from redraw.requests import (
    TrainRequest as TrainRequest,
)
from redraw.requests import (
    ValidateRequest as ValidateRequest,
)
from redraw.requests import (
    VerifyRequest as VerifyRequest,
)
from redraw.rollout.rollout import (
    confirm_rollout as confirm_rollout,
)
from redraw.train.train import (
    train_model as train_model,
)
from redraw.validate.validator import (
    validate_model as validate_model,
)

__version__: str
from redraw.inspect.answers.compare import (
    compare_answers as compare_answers,
)
from redraw.records.results import (
    AnswerComparison as AnswerComparison,
)
from redraw.records.results import (
    AnswerSlice as AnswerSlice,
)
from redraw.records.results import (
    ComparedMetrics as ComparedMetrics,
)
from redraw.records.results import (
    DifferenceBar as DifferenceBar,
)
from redraw.records.results import (
    DifferingAnswer as DifferingAnswer,
)
from redraw.records.results import (
    MeasuredTwice as MeasuredTwice,
)
from redraw.records.results import (
    OutputDifference as OutputDifference,
)
from redraw.records.results import (
    RequestSource as RequestSource,
)
from redraw.records.results import (
    ValueChange as ValueChange,
)
from redraw.requests import (
    CompareAnswersRequest as CompareAnswersRequest,
)
