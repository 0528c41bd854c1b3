"""A DAG in a git bundle of the running instance, next to the package of its definition."""

import json

from airflow.sdk import dag, task

from redraw_airflow.stages.process import StageProcess


@dag(schedule=None)
def git_bundled() -> None:
    """Has a stage say which models there are."""

    @task
    def list_models() -> dict[str, str]:
        ended = StageProcess(stage="models", request={}, gcp_conn_id="google_cloud_default").run()
        return {model["name"]: model["summary"] for model in json.loads(ended.stdout)["models"]}

    list_models()


git_bundled()
