"""What a task is given, in the types that a request wants, and where it may write.

Templates give text, `dag.param` and XComs give values: an empty one of either means
"the stage's default".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from redraw.errors import InvalidRequest
from redraw.names import ModelName
from redraw.settings import Setting
from redraw.uri import Uri
from redraw_airflow.settings import REPORTS, WORK

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg
    from airflow.sdk.types import RuntimeTaskInstanceProtocol

__all__ = [
    "AnyRecord",
    "RecordOrUri",
    "TaskFolder",
    "asked_by",
    "asking_run",
    "listed_texts",
    "optional_choice",
    "optional_integer",
    "optional_number",
    "optional_text",
    "run_folder_name",
    "setting",
    "truth",
    "waivers",
]

# What a task reads: a record, as JSON or as the XCom of the task that returned it.
AnyRecord: TypeAlias = "Mapping[str, Any] | XComArg"
# The same, or where a stage left its record.
RecordOrUri: TypeAlias = "AnyRecord | str"

_LONGEST_NAME = 150


def optional_text(value: str | None) -> str | None:
    """The text, or None where it is empty; `None` is how a template writes nothing."""
    return None if value is None or value.strip() in {"", "None"} else value


def optional_choice(value: str | None) -> str | None:
    """The same of a choice whose `default` leaves it to the model's definition."""
    text = optional_text(value)
    return None if text == "default" else text


def optional_integer(name: str, value: int | str | None) -> int | None:
    """The whole number, or None where there is none.

    Raises:
        InvalidRequest: The text is no whole number.
    """
    if not isinstance(value, str):
        return value
    text = optional_text(value)
    try:
        return None if text is None else int(text)
    except ValueError as err:
        raise InvalidRequest(f"{name}: expected a whole number, got {value!r}. Correct it.") from err


def listed_texts(value: Sequence[str] | str | None) -> list[str]:
    """The texts of a list, or of text with one a line or, as the command line has it, a comma between.

    A comma parts two only where a name and `=` follow: reasons are prose, and have commas.
    """
    texts = re.split(r"\n|,(?=\s*[\w-]+=)", value) if isinstance(value, str) else value or ()
    return [text.strip() for text in texts if optional_text(text) is not None]


def waivers(checks: Sequence[str] | str | None, reason: str | None) -> list[str]:
    """The waivers as a request has them, `CHECK=REASON`: a check without a reason has the common one.

    Raises:
        InvalidRequest: A check has neither.
    """
    common = optional_text(reason)
    listed = listed_texts(checks)
    if common is None and (bare := [text for text in listed if "=" not in text]):
        raise InvalidRequest(
            f"waive: expected CHECK=REASON, got {', '.join(bare)!r:.200}. Say why, or give waive_reason."
        )
    return [text if "=" in text else f"{text}={common}" for text in listed]


def optional_number(name: str, value: float | str | None) -> float | None:
    """The number, or None where there is none.

    Raises:
        InvalidRequest: The text is no number.
    """
    if not isinstance(value, str):
        return value
    text = optional_text(value)
    try:
        return None if text is None else float(text)
    except ValueError as err:
        raise InvalidRequest(f"{name}: expected a number, got {value!r}. Correct it.") from err


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


def truth(name: str, value: bool | str) -> bool:
    """The truth value; a template writes it as text, and any text would count as true.

    Raises:
        InvalidRequest: The text is neither `true` nor `false`.
    """
    if isinstance(value, bool):
        return value
    if value.lower() not in {"true", "false"}:
        raise InvalidRequest(f"{name}: expected true or false, got {value!r}. Correct it.")
    return value.lower() == "true"


def setting(name: str, value: str | None, default: Setting[str | None]) -> str:
    """The operator's argument, or else the setting that is its default.

    Raises:
        InvalidRequest: Neither is given.
        InvalidSetting: The setting has a value of a wrong type.
    """
    found = optional_text(value) or default.read()
    if not found:
        raise InvalidRequest(f"{name}: expected a value, got none. Pass it, or set {default.variable}.")
    return found


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
        """Another for each try: a stage that must start afresh finds nothing there."""
        return self.for_all_tries().with_ending(f"-try{self._ti.try_number}")


def run_folder_name(dag_id: str, run_id: str) -> str:
    """A run's name in a path; the digest keeps two apart that read alike once they are made safe."""
    digest = hashlib.sha256(f"{dag_id}/{run_id}".encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9_.=-]+', '-', f'{dag_id}-{run_id}')[:_LONGEST_NAME]}-{digest}"
