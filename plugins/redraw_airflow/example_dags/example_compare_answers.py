"""One mapped task for several files of logged requests: what would change if a version became live."""

from airflow.sdk import Param, dag, task

from redraw_airflow import CompareAnswersOperator


@dag(
    schedule=None,
    params={
        "model": Param("mnist", type="string"),
        "version": Param(0, type="integer"),
        "files": Param([], type="array", items={"type": "string"}, description="URIs or paths"),
    },
)
def redraw_compare_answers() -> None:
    """Compare a version with the live one by the requests of each file."""

    @task
    def choose_files(params: dict[str, list[str]]) -> list[str]:
        return params["files"]

    @task
    def sum_up(comparisons: list[dict[str, list[dict[str, int]]]]) -> dict[str, int]:
        outputs = [output for one in comparisons for output in one["outputs"]]
        return {name: sum(output[name] for output in outputs) for name in ("rows", "changed")}

    compared = CompareAnswersOperator.partial(
        task_id="compare", model="{{ params.model }}", version="{{ params.version }}"
    ).expand(requests=choose_files())
    sum_up(compared.output)


example = redraw_compare_answers()
