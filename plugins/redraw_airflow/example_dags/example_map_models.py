"""A mapped task group over the models in the run's parameter `models`."""

from airflow.sdk import Param, dag, task, task_group

from redraw_airflow.taskflow import checkpoint, export, push, train, validate


@dag(schedule=None, params={"models": Param(["mnist", "digits_graph"], type="array")})
def redraw_map_models() -> None:
    """Train and publish each model; if one fails, the others continue."""

    @task
    def choose_models(params: dict[str, list[str]]) -> list[str]:
        return params["models"]

    @task_group
    def publish(model: str) -> None:
        run = train(model=model)
        exported = export(model=model, checkpoint=checkpoint(model=model, training_run=run))
        push(model=model, saved_model=exported, report=validate(model=model, saved_model=exported))

    publish.expand(model=choose_models())


example = redraw_map_models()
