"""Renders templates: every value is escaped, and an undefined one is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from redraw.settings import check_help, error_help
from redraw_airflow import urls as places
from redraw_airflow.web.server.access import may_clear, may_publish, may_run, offers_trials
from redraw_airflow.web.views import formatting
from redraw_airflow.web.views.actions import possible_actions
from redraw_airflow.web.views.answer_changes import describe_answers

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters.update({name: getattr(formatting, name) for name in formatting.__all__})
_TEMPLATES.globals.update({name: getattr(places, name) for name in places.__all__ if name.endswith("_place")})
_TEMPLATES.globals.update(check_help=check_help, error_help=error_help)
_TEMPLATES.globals.update(possible_actions=possible_actions, may_run=may_run, offers_trials=offers_trials)
_TEMPLATES.globals.update(may_clear=may_clear, may_publish=may_publish, describe_answers=describe_answers)


def show_page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """Fill a template.

    Args:
        request: The request.
        template: The template's file name. It can use `root`, the path of the pages in the browser, and
            `airflow`, that of Airflow, both without a slash at the end, and `request` to check rights.
        status: The HTTP status.
        values: The values that the template shows.
    """
    root = str(request.scope.get("root_path", "")).rstrip("/")
    page = _TEMPLATES.get_template(template)
    airflow = root.removesuffix(places.MOUNT)
    return HTMLResponse(
        page.render(request=request, root=root, airflow=airflow, **values), status_code=status
    )
