"""DAGs for several models, made in a loop, whose templates render to values and records instead of text."""

from airflow.sdk import DAG, Param, dag

from redraw_airflow.taskflow import export, mark, push, validate

MODELS = ["mnist", "text_classifier"]
# An argument that is None leaves the choice to the stage or the definition.
FORM = {
    "checkpoint": Param("", type="string", description="URI, path, or STEP-DIGEST of the catalogue"),
    "weights": Param(None, type=["null", "string"]),
    "waive": Param(None, type=["null", "array"], items={"type": "string"}),
    "make_live": Param(False, type="boolean"),
    "why": Param("kept for the audit", type="string"),
}


def publish(model: str) -> DAG:
    """Publish a checkpoint, and pin the version."""

    @dag(
        dag_id=f"redraw_native_{model}",
        schedule=None,
        render_template_as_native_obj=True,
        default_args={"model": model},
        params=FORM,
    )
    def chain() -> None:
        exported = export(checkpoint="{{ params.checkpoint }}", weights="{{ params.weights }}")
        saved_model = "{{ ti.xcom_pull(task_ids='export') }}"
        report = validate(
            saved_model=saved_model, waive="{{ params.waive }}", waive_reason="{{ params.why }}"
        )
        release = push(saved_model=saved_model, report=report, make_live="{{ params.make_live }}")
        # A release record is accepted as a version.
        pinned = mark(version=release, mark="pin", reason="{{ params.why }}")
        exported >> report >> release >> pinned

    return chain()


for name in MODELS:
    globals()[name] = publish(name)
