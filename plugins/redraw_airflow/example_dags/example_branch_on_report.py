"""A branch on the report: an export that passes is published, any other is announced."""

from airflow.sdk import Param, dag, task
from airflow.sdk.types import RuntimeTaskInstanceProtocol

from redraw_airflow.taskflow import push, validate

MODEL = "{{ params.model }}"
SAVED_MODEL = "{{ params.saved_model }}"


@dag(
    schedule=None,
    params={"model": Param("mnist", type="string"), "saved_model": Param("", type="string")},
)
def redraw_branch_on_report() -> None:
    """Validate, then decide by the XCom `report`, which a failed validation has, too."""

    @task.branch(trigger_rule="all_done")
    def decide(ti: RuntimeTaskInstanceProtocol) -> str:
        report = ti.xcom_pull(task_ids="validate", key="report")
        return "push" if report and report["passed"] else "announce"

    @task
    def announce(ti: RuntimeTaskInstanceProtocol) -> str:
        report = ti.xcom_pull(task_ids="validate", key="report") or {"checks": []}
        failed = [check["name"] for check in report["checks"] if check["status"] == "failed"]
        return f"not published: {', '.join(failed) or 'no report'}"

    report = validate(model=MODEL, saved_model=SAVED_MODEL)
    # `all_done`, because the validation may fail. A push requires a report that passed.
    published = push(model=MODEL, saved_model=SAVED_MODEL, report=report, trigger_rule="all_done")
    decision = decide()
    report >> decision >> [published, announce()]


example = redraw_branch_on_report()
