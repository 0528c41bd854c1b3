from __future__ import annotations

from airflow.sdk import DAG, task

from redraw_airflow import taskflow
from redraw_airflow.operators.training import CheckpointOperator, TrainOperator


def test_functions_pass_records_on_and_make_the_operators_dependencies() -> None:
    @task
    def choose_steps() -> int:
        return 100

    with DAG("chain", schedule=None) as dag:
        run = taskflow.train(model="mnist", max_steps=choose_steps())
        chosen = taskflow.checkpoint(model="mnist", training_run=run, task_id="choose")
        exported = taskflow.export(model="mnist", checkpoint=chosen)
        report = taskflow.validate(model="mnist", saved_model=exported)
        taskflow.push(model="mnist", saved_model=exported, report=report)

    followed = {name: sorted(one.downstream_task_ids) for name, one in dag.task_dict.items()}
    assert followed == {
        "choose_steps": ["train"],
        "train": ["choose"],
        "choose": ["export"],
        "export": ["push", "validate"],
        "validate": ["push"],
        "push": [],
    }
    assert isinstance(dag.get_task("train"), TrainOperator)
    assert isinstance(dag.get_task("choose"), CheckpointOperator)


def test_every_function_makes_the_operator_that_its_documentation_names() -> None:
    for name in taskflow.__all__:
        function = getattr(taskflow, name)
        assert function.__name__ == name
        assert "Operator`, with its arguments" in function.__doc__
