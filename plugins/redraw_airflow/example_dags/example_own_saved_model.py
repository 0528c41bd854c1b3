"""Publish a SavedModel of another program: export it by a definition that `redraw draft` wrote."""

from airflow.sdk import Param, dag

from redraw_airflow.taskflow import export, push, validate

MODEL = "{{ params.model }}"


@dag(
    schedule=None,
    params={
        "model": Param("mnist", type="string", description="The drafted definition's name"),
        "saved_model": Param("", type="string", description="The SavedModel's folder, or its gs:// URI"),
        "make_live": Param(False, type="boolean"),
    },
)
def redraw_own_saved_model() -> None:
    """Export the model, compare its answers with the SavedModel's, and publish it if it passes."""
    exported = export(model=MODEL, checkpoint="{{ params.saved_model }}")
    report = validate(model=MODEL, saved_model=exported)
    push(model=MODEL, saved_model=exported, report=report, make_live="{{ params.make_live }}")


example = redraw_own_saved_model()
