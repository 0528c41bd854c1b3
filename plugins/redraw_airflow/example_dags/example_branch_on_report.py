"""A branch that looks at the report: what passes is published, of the rest somebody hears."""

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
    """Validate, then decide by the XCom `report`, which is there whether the validation passes or not."""

    @task.branch(trigger_rule="all_done")
    def decide(ti: RuntimeTaskInstanceProtocol) -> str:
        report = ti.xcom_pull(task_ids="validate", key="report")
        return "push" if report and report["passed"] else "tell"

    @task
    def tell(ti: RuntimeTaskInstanceProtocol) -> str:
        report = ti.xcom_pull(task_ids="validate", key="report") or {"checks": []}
        failed = [check["name"] for check in report["checks"] if check["status"] == "failed"]
        return f"not published: {', '.join(failed) or 'no report'}"

    report = validate(model=MODEL, saved_model=SAVED_MODEL)
    # It waits for the decision, whatever became of the validation; a push demands a report that passed.
    published = push(model=MODEL, saved_model=SAVED_MODEL, report=report, trigger_rule="all_done")
    decided = decide()
    report >> decided >> [published, tell()]


example = redraw_branch_on_report()
