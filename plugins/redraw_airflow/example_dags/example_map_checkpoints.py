"""A mapped group over checkpoints: each is exported and validated separately, none is published."""

from typing import Any

from airflow.sdk import Param, dag, task, task_group

from redraw_airflow import ExportSavedModelOperator, ValidateSavedModelOperator

MODEL = "{{ params.model }}"


@dag(
    schedule=None,
    params={
        "model": Param("mnist", type="string"),
        "checkpoints": Param([], type="array", items={"type": "string"}, description="URIs or paths"),
    },
)
def redraw_map_checkpoints() -> None:
    """Count the checkpoints that pass validation."""

    @task
    def choose_checkpoints(params: dict[str, list[str]]) -> list[str]:
        return params["checkpoints"]

    @task(trigger_rule="all_done")
    def sum_up(checkpoints: list[str], ti: Any = None) -> str:
        # One report for each checkpoint; None if there is none.
        places = range(len(checkpoints))
        reports = ti.xcom_pull(task_ids="examine.validate", map_indexes=places)
        passed = sum(bool(report and report["passed"]) for report in reports)
        return f"{passed} of {len(checkpoints)} passed"

    # A group instead of two mapped tasks: if an export fails, the others are still validated.
    @task_group
    def examine(checkpoint: str) -> None:
        exported = ExportSavedModelOperator(task_id="export", model=MODEL, checkpoint=checkpoint)
        ValidateSavedModelOperator(task_id="validate", model=MODEL, saved_model=exported.output)

    chosen = choose_checkpoints()
    examine.expand(checkpoint=chosen) >> sum_up(chosen)


example = redraw_map_checkpoints()
