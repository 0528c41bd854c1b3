"""A chain of Redraw's functions, with your own function that decides how long to train."""

from airflow.sdk import Param, dag, task

from redraw_airflow.taskflow import checkpoint, export, push, train, validate

MODEL = "{{ params.model }}"


@dag(schedule=None, params={"model": Param("mnist", type="string"), "steps": Param(500, type="integer")})
def redraw_taskflow() -> None:
    """Train, choose a checkpoint, export, validate and publish; each task passes its record on."""

    @task
    def choose_steps(params: dict[str, int]) -> int:
        return params["steps"]

    run = train(model=MODEL, max_steps=choose_steps())
    exported = export(model=MODEL, checkpoint=checkpoint(model=MODEL, training_run=run))
    push(model=MODEL, saved_model=exported, report=validate(model=MODEL, saved_model=exported))


example = redraw_taskflow()
