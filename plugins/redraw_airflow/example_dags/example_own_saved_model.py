"""Validate and publish a SavedModel that something else exported: two tasks."""

from airflow.sdk import Param, dag

from redraw_airflow.taskflow import push, validate

MODEL = "{{ params.model }}"
SAVED_MODEL = "{{ params.saved_model }}"


@dag(
    schedule=None,
    params={
        "model": Param("mnist", type="string"),
        "saved_model": Param("", type="string", description="The SavedModel's folder, or its gs:// URI"),
        "checkpoint": Param("", type="string", description="What it was exported from, to compare with"),
        "make_live": Param(False, type="boolean"),
    },
)
def redraw_own_saved_model() -> None:
    """Check it by every check that applies, and publish it if it passes."""
    report = validate(model=MODEL, saved_model=SAVED_MODEL, checkpoint="{{ params.checkpoint }}")
    push(model=MODEL, saved_model=SAVED_MODEL, report=report, make_live="{{ params.make_live }}")


example = redraw_own_saved_model()
