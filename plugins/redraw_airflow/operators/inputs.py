"""Who asks, what a setting gives where an argument does not, and where a task may write."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from redraw.errors import InvalidRequest
from redraw.names import ModelName
from redraw.settings import Setting
from redraw.uri import Uri
from redraw_airflow.compat import airflow_configuration
from redraw_airflow.hooks import connection_place
from redraw_airflow.operators.arguments import truth
from redraw_airflow.settings import REPORTS, WORK

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg
    from airflow.sdk.types import RuntimeTaskInstanceProtocol

# What a task reads: a record, as JSON or as the XCom of the task that returned it.
AnyRecord: TypeAlias = "Mapping[str, Any] | XComArg"
# The same, or where a stage left its record.
RecordOrUri: TypeAlias = "AnyRecord | str"

_LONGEST_NAME = 150


def optional_choice(value: str | None) -> str | None:
    """The text, or None where it is `default`: that leaves the choice to the model's definition."""
    return None if value == "default" else value


def waivers(checks: Sequence[str], reason: str | None) -> list[str]:
    """The waivers as a request has them, `CHECK=REASON`: a check without a reason has the common one.

    Raises:
        InvalidRequest: A check has neither.
    """
    if reason is None and (bare := [text for text in checks if "=" not in text]):
        raise InvalidRequest(
            f"waive: expected CHECK=REASON, got {', '.join(bare)!r:.200}. Say why, or give waive_reason."
        )
    return [text if "=" in text else f"{text}={reason}" for text in checks]


def asked_by(context: Context) -> str:
    """The Airflow user who started the run, or `scheduler` where none did."""
    return context["dag_run"].triggering_user_name or "scheduler"


def asking_run(context: Context) -> dict[str, Any]:
    """Who asks, in which run, and in which try: what a release record keeps."""
    ti = context["ti"]
    return {
        "by": asked_by(context),
        "dag_run": f"{ti.dag_id}/{ti.run_id}",
        "try_number": ti.try_number,
    }


def place(name: str, value: str | None, conn_id: str, default: Setting[str | None]) -> str:
    """The operator's `bucket` or `catalogue`, or else its connection's, or else the setting's.

    Raises:
        InvalidRequest: None of them is given.
        InvalidSetting: The setting has a value of a wrong type.
    """
    return setting(name, value or connection_place(conn_id, name), default)


def setting(name: str, value: str | None, default: Setting[str | None]) -> str:
    """The operator's argument, or else the setting that is its default.

    Raises:
        InvalidRequest: Neither is given.
        InvalidSetting: The setting has a value of a wrong type.
    """
    found = value or default.read()
    if not found:
        raise InvalidRequest(f"{name}: expected a value, got none. Pass it, or set {default.variable}.")
    return found


def waits_in_triggerer(deferrable: Any) -> bool:
    """Whether a task waits in the triggerer: as its argument says, or else Airflow's `default_deferrable`.

    Raises:
        InvalidRequest: The argument is no truth value; it is no template.
    """
    if deferrable is not None:
        return truth("deferrable", deferrable)
    return bool(airflow_configuration().getboolean("operators", "default_deferrable", fallback=False))


class TaskFolder:
    """Where one task of one run writes: `<work>/<model>/<run>/<task>`, and no other task does.

    The run's part is made of the DAG's and the run's id, which a run has however it was
    started; a logical date it may lack.

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
        """The same for each try: a stage that resumes finds what the last try left."""
        work = Uri(setting("work_dir", self._work_dir, WORK))
        return work / ModelName(self._model) / self.run / self._task

    def for_report(self) -> Uri:
        """The same in the folder of reports, if there is one apart from the work folder."""
        reports = TaskFolder(REPORTS.read() or self._work_dir, self._model, self._ti)
        return reports.for_this_try()

    def for_this_try(self) -> Uri:
        """Another for each try: a stage that must start afresh finds nothing there.

        A run that was deleted and is made once more, or `airflow dags test` of the same date, has the same
        ids and counts its tries from 1: the try's own id tells them apart.
        """
        own = str(getattr(self._ti, "id", ""))[-8:]
        return self.for_all_tries().with_ending(f"-try{self._ti.try_number}{own and f'-{own}'}")


def run_folder_name(dag_id: str, run_id: str) -> str:
    """A run's name in a path; the digest keeps two apart that read alike once they are made safe."""
    digest = hashlib.sha256(f"{dag_id}/{run_id}".encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9_.=-]+', '-', f'{dag_id}-{run_id}')[:_LONGEST_NAME]}-{digest}"
