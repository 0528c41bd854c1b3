"""Webhooks out of Airflow connections: for stages, over their socket, and for notifiers.

Only names that the setting `webhooks` lists are answered: a stage cannot ask for any other connection.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from redraw.errors import InvalidSetting
from redraw.publish.events.webhooks import Webhook
from redraw.settings import WEBHOOKS, webhook_variables

__all__ = ["find_webhook", "grant_webhook"]


def grant_webhook(name: str) -> dict[str, Any]:
    """The URL and the secret of a webhook, as its connection has them.

    The connection's host is the URL, or a host alone, with a schema and a port; its password is the secret.

    Raises:
        InvalidSetting: The name is not listed, or no connection has it.
    """
    if name not in WEBHOOKS.read():
        raise InvalidSetting(
            f"webhook {name}: expected a name of REDRAW_WEBHOOKS, got another one. Add it there."
        )
    try:
        connection = BaseHook.get_connection(name)
    except AirflowNotFoundException:
        return {"url": None, "secret": None}
    url = connection.host or ""
    if "://" not in url:
        port = f":{connection.port}" if connection.port else ""
        url = f"{connection.schema or 'https'}://{url}{port}"
    for secret in (url, urlsplit(url).path.strip("/"), connection.password):
        if secret:
            mask_secret(secret)
    return {"url": url, "secret": connection.password}


def find_webhook(name: str) -> Webhook:
    """A webhook of the setting `webhooks`, for this process itself.

    Raises:
        InvalidSetting: The name is not listed, or nothing says what it stands for.
    """
    variable, url, secret = webhook_variables(name)
    granted = grant_webhook(name)
    found, secret = (url, secret) if url else (granted["url"], granted["secret"])
    if not found:
        raise InvalidSetting(
            f"webhook {name}: expected a connection of this name, or {variable}, got neither. Create it."
        )
    return Webhook(name=name, url=found, secret=secret or "")
