"""The Airflow plugin: the Models page in the navigation, and Redraw's tab on runs and tasks.

Airflow loads this file in each of its processes, most of which show no page. So the pages themselves are
imported at the first request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.plugins_manager import AirflowPlugin

from redraw_airflow.urls import MODELS_VIEW, MOUNT, RUN_TAB, TASK_TAB

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class _LazyPages:
    """The ASGI application of the pages, made when the first request arrives."""

    _app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            from redraw_airflow.web.app import create_app

            self._app = create_app()
        await self._app(scope, receive, send)


class RedrawPlugin(AirflowPlugin):
    """The pages of published models, under `/redraw`."""

    name = "redraw"
    fastapi_apps = [{"app": _LazyPages(), "url_prefix": MOUNT, "name": "Redraw"}]
    # Without a leading slash: Airflow may itself be served under a prefix. Of two views with one
    # url_route Airflow shows only the first.
    external_views = [
        {"name": "Models", "href": f"{MOUNT[1:]}/models", "destination": "nav", "url_route": MODELS_VIEW},
        {"name": "Redraw", "href": RUN_TAB, "destination": "dag_run", "url_route": "redraw"},
        {"name": "Redraw", "href": TASK_TAB, "destination": "task_instance", "url_route": "redraw-task"},
    ]
