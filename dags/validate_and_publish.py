"""Validate a failed run's export again, with waivers, from a form."""

from redraw_airflow.dags import validate_and_publish

dag = validate_and_publish()
