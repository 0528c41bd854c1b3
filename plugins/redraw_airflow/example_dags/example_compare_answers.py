"""A mapped task over files of logged requests: which answers would change if a version became live."""

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
    """Compare a version's answers with the live one's for the requests of each file."""

    @task
    def choose_files(params: dict[str, list[str]]) -> list[str]:
        return params["files"]

    @task
    def sum_up(comparisons: list[dict[str, list[dict[str, int]]]]) -> dict[str, int]:
        outputs = [output for comparison in comparisons for output in comparison["outputs"]]
        return {name: sum(output[name] for output in outputs) for name in ("rows", "changed")}

    compared = CompareAnswersOperator.partial(
        task_id="compare", model="{{ params.model }}", version="{{ params.version }}"
    ).expand(requests=choose_files())
    sum_up(compared.output)


example = redraw_compare_answers()
