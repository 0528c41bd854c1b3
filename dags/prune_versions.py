"""Remove old versions from a form."""

from redraw_airflow.dags import prune_versions

dag = prune_versions()
