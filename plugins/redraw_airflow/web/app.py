"""The application that Airflow's API server mounts."""

from __future__ import annotations

from pathlib import Path

from fastapi import Depends, FastAPI
from starlette.staticfiles import StaticFiles

from redraw_airflow.web.failures import answer_failures
from redraw_airflow.web.routes import attachments, comparison, models, runs, trial, versions
from redraw_airflow.web.server.access import SameSiteOnly, keep_user, reading_user, run_reading_user
from redraw_airflow.web.server.headers import GuardingHeaders


def create_app() -> FastAPI:
    """Make the ASGI application of the pages, without reading the bucket yet.

    Returns:
        The application. Its style sheets and scripts are public; everything else needs an Airflow user who
        may read a DAG that publishes, or the DAG whose run is shown.
    """
    app = FastAPI(title="Redraw", docs_url=None, redoc_url=None, openapi_url=None)
    for page in (models, versions, attachments, comparison, trial):
        app.include_router(page.router, dependencies=[Depends(reading_user), Depends(keep_user)])
    app.include_router(runs.router, dependencies=[Depends(run_reading_user), Depends(keep_user)])
    app.mount("/static", StaticFiles(directory=Path(__file__).with_name("static")), name="static")
    app.add_middleware(SameSiteOnly)
    app.add_middleware(GuardingHeaders, public="/static/")
    answer_failures(app)
    return app
