"""Mark a version from a form."""

from redraw_airflow.dags import mark_version

dag = mark_version()
