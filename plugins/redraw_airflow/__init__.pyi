"""The public names, for type checkers; the package imports each when it is first used."""

from redraw_airflow.dags import (
    mark_version as mark_version,
)
from redraw_airflow.dags import (
    prune_versions as prune_versions,
)
from redraw_airflow.dags import (
    reexport_checkpoints as reexport_checkpoints,
)
from redraw_airflow.dags import (
    retrain_and_export as retrain_and_export,
)
from redraw_airflow.dags import (
    retrain_each as retrain_each,
)
from redraw_airflow.dags import (
    roll_back_model as roll_back_model,
)
from redraw_airflow.dags import (
    validate_and_publish as validate_and_publish,
)
from redraw_airflow.dags.callbacks import (
    announce_failure as announce_failure,
)
from redraw_airflow.dags.callbacks import (
    failure_reason as failure_reason,
)
from redraw_airflow.hooks import (
    RedrawHook as RedrawHook,
)
from redraw_airflow.notifications import (
    RedrawNotifier as RedrawNotifier,
)
from redraw_airflow.notifications import (
    quote_record as quote_record,
)
from redraw_airflow.operators.assets import (
    model_asset as model_asset,
)
from redraw_airflow.operators.tracking import (
    LogToMlflowOperator as LogToMlflowOperator,
)
from redraw_airflow.operators.training import (
    ApproveReexportOperator as ApproveReexportOperator,
)
from redraw_airflow.operators.training import (
    ApproveReleaseOperator as ApproveReleaseOperator,
)
from redraw_airflow.operators.training import (
    CheckpointOperator as CheckpointOperator,
)
from redraw_airflow.operators.training import (
    CompareAnswersOperator as CompareAnswersOperator,
)
from redraw_airflow.operators.training import (
    ExportSavedModelOperator as ExportSavedModelOperator,
)
from redraw_airflow.operators.training import (
    MarkVersionOperator as MarkVersionOperator,
)
from redraw_airflow.operators.training import (
    PlanReexportOperator as PlanReexportOperator,
)
from redraw_airflow.operators.training import (
    PruneOperator as PruneOperator,
)
from redraw_airflow.operators.training import (
    PushModelOperator as PushModelOperator,
)
from redraw_airflow.operators.training import (
    ReexportOperator as ReexportOperator,
)
from redraw_airflow.operators.training import (
    RollBackOperator as RollBackOperator,
)
from redraw_airflow.operators.training import (
    SetLiveOperator as SetLiveOperator,
)
from redraw_airflow.operators.training import (
    SummarizeReexportOperator as SummarizeReexportOperator,
)
from redraw_airflow.operators.training import (
    TrainOperator as TrainOperator,
)
from redraw_airflow.operators.training import (
    ValidateSavedModelOperator as ValidateSavedModelOperator,
)
from redraw_airflow.rollout.operator import (
    ConfirmRolloutOperator as ConfirmRolloutOperator,
)
from redraw_airflow.rollout.trigger import (
    RolloutTrigger as RolloutTrigger,
)
from redraw_airflow.sensors.sensors import (
    CheckpointSensor as CheckpointSensor,
)
from redraw_airflow.sensors.sensors import (
    LiveVersionSensor as LiveVersionSensor,
)
from redraw_airflow.sensors.sensors import (
    NewVersionSensor as NewVersionSensor,
)
from redraw_airflow.sensors.triggers import (
    BucketTrigger as BucketTrigger,
)
from redraw_airflow.sensors.triggers import (
    CheckpointArrived as CheckpointArrived,
)
from redraw_airflow.vertex.operator import (
    RegisterVertexModelOperator as RegisterVertexModelOperator,
)
from redraw_airflow.vertex.operator import (
    VertexRegistration as VertexRegistration,
)
