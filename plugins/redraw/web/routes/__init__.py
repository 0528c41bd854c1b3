"""The routes, one module a page."""

from __future__ import annotations

from redraw.web.routes import models, runs

__all__ = ["ROUTERS", "RUN_ROUTERS"]

# For whoever may read the DAG that publishes.
ROUTERS = (models.router,)
# For whoever may read what the tasks of the DAG in the address leave.
RUN_ROUTERS = (runs.router,)
