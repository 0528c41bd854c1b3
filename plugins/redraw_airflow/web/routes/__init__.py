"""The routes, one module a page."""

from __future__ import annotations

from redraw_airflow.web.routes import attachments, comparison, models, runs, trial, versions

__all__ = ["ROUTERS", "RUN_ROUTERS"]

# For whoever may read the DAG that publishes.
ROUTERS = (models.router, versions.router, attachments.router, comparison.router, trial.router)
# For whoever may read what the tasks of the DAG in the address leave.
RUN_ROUTERS = (runs.router,)
