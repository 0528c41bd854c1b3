"""One mapped task for several checkpoints: each is exported and validated, none is published."""

from airflow.sdk import Param, dag, task

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
    """Say which of the checkpoints would do."""

    @task
    def choose_checkpoints(params: dict[str, list[str]]) -> list[str]:
        return params["checkpoints"]

    @task(trigger_rule="all_done")
    def sum_up(reports: list[dict[str, object]]) -> str:
        passed = sum(bool(report["passed"]) for report in reports)
        return f"{passed} passed"

    exported = ExportSavedModelOperator.partial(task_id="export", model=MODEL).expand(
        checkpoint=choose_checkpoints()
    )
    validated = ValidateSavedModelOperator.partial(task_id="validate", model=MODEL).expand(
        saved_model=exported.output
    )
    sum_up(validated.output)


example = redraw_map_checkpoints()
