"""Who started a run, the defaults of arguments, and where a task may write."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from airflow.sdk import Context, XComArg
from airflow.sdk.types import RuntimeTaskInstanceProtocol

from redraw.errors import InvalidRequest
from redraw.names import ModelName
from redraw.setting_kinds import Setting
from redraw.uri import Uri
from redraw_airflow.compat import airflow_configuration
from redraw_airflow.hooks import connection_place
from redraw_airflow.operators.arguments import truth
from redraw_airflow.settings import REPORTS, WORK

# The input of a task: a record, as JSON or as the XCom of the task that returned it.
AnyRecord: TypeAlias = "Mapping[str, Any] | XComArg"
# A record, or the place where a stage left one.
RecordOrUri: TypeAlias = "AnyRecord | str"

_LONGEST_NAME = 150


def optional_choice(value: str | None) -> str | None:
    """The text, or None if it is `default`: the model's definition decides then."""
    return None if value == "default" else value


def waivers(checks: Sequence[str], reason: str | None) -> list[str]:
    """The waivers in the form of a request, `CHECK=REASON`; a check without a reason gets the common one.

    Raises:
        InvalidRequest: A check has no reason, and there is no common one.
    """
    if reason is None and (bare := [text for text in checks if "=" not in text]):
        raise InvalidRequest(
            f"waive: expected CHECK=REASON, got {', '.join(bare)!r:.200}. Add the reason, or set"
            " waive_reason."
        )
    return [text if "=" in text else f"{text}={reason}" for text in checks]


def requester(context: Context) -> str:
    """The Airflow user who started the run, or `scheduler`."""
    return context["dag_run"].triggering_user_name or "scheduler"


def describe_run(context: Context) -> dict[str, Any]:
    """Who started the run, the run and the try, for the release record."""
    ti = context["ti"]
    return {
        "by": requester(context),
        "dag_run": f"{ti.dag_id}/{ti.run_id}",
        "try_number": ti.try_number,
    }


def place(name: str, value: str | None, conn_id: str, default: Setting[str | None]) -> str:
    """The operator's `bucket` or `catalogue`, or else its connection's, or else the setting's.

    Raises:
        InvalidRequest: None of them has a value.
        InvalidSetting: The setting is malformed.
    """
    return setting(name, value or connection_place(conn_id, name), default)


def setting(name: str, value: str | None, default: Setting[str | None]) -> str:
    """The operator's argument, or else the setting that is its default.

    Raises:
        InvalidRequest: Neither has a value.
        InvalidSetting: The setting is malformed.
    """
    if not (value := value or default.read()):
        raise InvalidRequest(
            f"{name}: expected a value, got none. Pass the argument, or set {default.variable}."
        )
    return value


def waits_in_triggerer(deferrable: Any) -> bool:
    """Whether a task waits in the triggerer: its argument, or else Airflow's `default_deferrable`.

    Raises:
        InvalidRequest: The argument is not a truth value; it cannot be a template.
    """
    if deferrable is not None:
        return truth("deferrable", deferrable)
    return bool(airflow_configuration().getboolean("operators", "default_deferrable", fallback=False))


class TaskFolder:
    """The folder where only one task of one run writes: `<work>/<model>/<run>/<task>`.

    The run's part is made of the DAG's and the run's id, because a run may have no logical date.

    Args:
        work_dir: The folder for scratch; `REDRAW_WORK` by default.
        model: The model's name.
        ti: The task instance.
    """

    def __init__(self, work_dir: str | None, model: str, ti: RuntimeTaskInstanceProtocol) -> None:
        self._work_dir, self._model, self._ti = work_dir, model, ti
        self.run = run_folder_name(ti.dag_id, ti.run_id)
        mapped = ti.map_index if ti.map_index is not None else -1
        self._task = ti.task_id if mapped < 0 else f"{ti.task_id}-{mapped}"

    def for_all_tries(self) -> Uri:
        """The same folder for each try: a stage that resumes finds what the last try left."""
        work = Uri(setting("work_dir", self._work_dir, WORK))
        return work / ModelName(self._model) / self.run / self._task

    def for_report(self) -> Uri:
        """The folder of this try in the folder of reports, or in the work folder if there is none."""
        reports = TaskFolder(REPORTS.read() or self._work_dir, self._model, self._ti)
        return reports.for_this_try()

    def for_this_try(self) -> Uri:
        """A new folder for each try: a stage that must start from scratch finds nothing there.

        A run that was deleted and made again, or `airflow dags test` of the same date, has the same ids and
        counts its tries from 1: the try's own id tells them apart.
        """
        try_id = str(getattr(self._ti, "id", ""))[-8:]
        return self.for_all_tries().with_ending(f"-try{self._ti.try_number}{try_id and f'-{try_id}'}")


def run_folder_name(dag_id: str, run_id: str) -> str:
    """A run's name in a path; the digest tells apart two names that differ only in unsafe characters."""
    digest = hashlib.sha256(f"{dag_id}/{run_id}".encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9_.=-]+', '-', f'{dag_id}-{run_id}')[:_LONGEST_NAME]}-{digest}"
