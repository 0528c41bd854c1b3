"""The routes, one module a page."""

from __future__ import annotations

from redraw.web.routes import models, trial

__all__ = ["ROUTERS"]

ROUTERS = (models.router, trial.router)
