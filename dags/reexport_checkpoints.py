"""Export old checkpoints again: each day, by hand and by backfill."""

from redraw_airflow.dags import reexport_checkpoints

dag = reexport_checkpoints()
