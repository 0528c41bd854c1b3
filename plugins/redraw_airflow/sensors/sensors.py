"""Sensors: each waits for a record and returns it; `deferrable=True` waits in the triggerer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

from airflow.sdk import BaseSensorOperator, Context, PokeReturnValue
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from redraw.errors import RedrawError, StorageUnavailable
from redraw_airflow.operators.arguments import Kind, required, text, version
from redraw_airflow.operators.inputs import place, waits_in_triggerer
from redraw_airflow.operators.places import PlacesOperator
from redraw_airflow.sensors.events import Seen, look, moment
from redraw_airflow.sensors.triggers import BucketTrigger
from redraw_airflow.settings import CHECKPOINTS, DEFAULT_CONNECTION, MODEL_BUCKET


class _BucketSensor(BaseSensorOperator, PlacesOperator):
    """What the sensors have in common.

    Args:
        model: The definition's name.
        gcp_conn_id: The Airflow connection that may read the bucket.
        deferrable: Whether to wait in the triggerer; by default as Airflow's `[operators]
            default_deferrable` says.
        kwargs: Those of `BaseSensorOperator`, such as `poke_interval`, `timeout`, `mode`.
    """

    kinds: ClassVar[Mapping[str, Kind]] = dict.fromkeys(("model", "gcp_conn_id"), required(text))
    ui_color = "#e8f0fe"
    event: ClassVar[str]

    def __init__(
        self,
        *,
        model: str,
        gcp_conn_id: str = DEFAULT_CONNECTION,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.keep_arguments(locals())
        self.deferrable = waits_in_triggerer(deferrable)
        self._seen: Seen = {}

    def execute(self, context: Context) -> Any:
        """Wait.

        Returns:
            The newest new record, as JSON values.

        Raises:
            AirflowFailException: An argument is wrong, or the bucket refuses.
            AirflowSensorTimeout: No record came within `timeout` seconds.
            TaskDeferred: It is `deferrable`.
        """
        if not self.deferrable:
            return super().execute(context)
        result = self.poke(context)
        if not result.is_done:
            self.defer(
                trigger=BucketTrigger(
                    event=self.event, arguments=self._arguments(), seconds=self.poke_interval
                ),
                method_name="take_event",
                timeout=timedelta(seconds=self.timeout),
            )
        return result.xcom_value

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once."""
        try:
            self.take_allowed_arguments(context)
            records = look(self.event, self._arguments(), self._seen)
        except StorageUnavailable as err:
            raise AirflowException(str(err)) from err
        except RedrawError as err:
            raise AirflowFailException(str(err)) from err
        return PokeReturnValue(is_done=bool(records), xcom_value=records[-1] if records else None)

    def take_event(self, context: Context, event: Mapping[str, Any]) -> Any:
        """Return the newest record that the trigger saw.

        Raises:
            AirflowFailException: The bucket refuses.
        """
        if "error" in event:
            raise AirflowFailException(event["message"])
        return event["records"][-1]

    def since(self) -> tuple[str, Any]:
        """The place to look at, and the time or version after which a record is new."""
        raise NotImplementedError

    def _arguments(self) -> dict[str, Any]:
        where, after = self.since()
        return {"model": self.model, "place": where, "after": after, "gcp_conn_id": self.gcp_conn_id}


class CheckpointSensor(_BucketSensor):
    """Wait for a checkpoint in a catalogue.

    Its XCom is the newest `Checkpoint` record that arrived, as JSON values.

    Args:
        catalogue: Folder or `gs://` URI of the catalogue.
        after: Only weights that were trained after this time, such as `{{ prev_start_date_success }}`; any
            by default.
        kwargs: `model`; `gcp_conn_id`, the Airflow connection that may read the bucket; `deferrable`,
            whether to wait in the triggerer; those of `BaseSensorOperator`, such as `poke_interval`.

    Example:
        >>> arrived = CheckpointSensor(
        ...     task_id="arrived", model="mnist", catalogue="gs://checkpoints", deferrable=True
        ... )
    """

    kinds = {**_BucketSensor.kinds, "catalogue": text, "after": moment}
    event = "checkpoint"

    def __init__(
        self, *, catalogue: str | None = None, after: datetime | str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.keep_arguments(locals())

    def since(self) -> tuple[str, Any]:
        """The catalogue, and a time."""
        return place("catalogue", self.catalogue, self.gcp_conn_id, CHECKPOINTS), self.after


class NewVersionSensor(_BucketSensor):
    """Wait for a published version.

    Its XCom is the `Release` record of the newest version, as JSON values.

    Args:
        bucket: `gs://` URI of the model bucket.
        after: Only versions with a higher number than this one, given as a number or a push's record; any by
            default.
        kwargs: `model`, `gcp_conn_id`, `deferrable`, and those of `BaseSensorOperator`.

    Example:
        >>> published = NewVersionSensor(task_id="published", model="mnist", bucket="gs://models")
    """

    kinds = {**_BucketSensor.kinds, "bucket": text, "after": version}
    event = "version"

    def __init__(self, *, bucket: str | None = None, after: int | str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.keep_arguments(locals())

    def since(self) -> tuple[str, Any]:
        """The bucket, and a version."""
        return place("bucket", self.bucket, self.gcp_conn_id, MODEL_BUCKET), self.after or 0


class LiveVersionSensor(NewVersionSensor):
    """Wait until another version is live: after a push, or after a roll-back.

    Its XCom is the `LivePointer` record as JSON values.

    Args:
        after: The version that is live now, a number or a push's record; by default any live version ends the
            wait.
        kwargs: `bucket`, `model`, `gcp_conn_id`, `deferrable`, and those of `BaseSensorOperator`.

    Example:
        >>> changed = LiveVersionSensor(
        ...     task_id="changed", model="mnist", bucket="gs://models", after=push.output
        ... )
    """

    event = "live"
