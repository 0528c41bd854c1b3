"""The routes, one module a page."""

from __future__ import annotations

from redraw_airflow.web.routes import attachments, comparison, models, runs, trial, versions

__all__ = ["ROUTERS", "RUN_ROUTERS"]

# For users who may read a DAG that publishes.
ROUTERS = (models.router, versions.router, attachments.router, comparison.router, trial.router)
# For users who may read the XComs of the DAG in the address.
RUN_ROUTERS = (runs.router,)
