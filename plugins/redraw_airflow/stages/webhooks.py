"""Webhooks from Airflow connections: for stages, over their socket, and for notifiers.

A stage gets only names that the setting `webhooks` lists: it cannot ask for any other connection.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from redraw.errors import InvalidSetting
from redraw.publish.events.webhooks import Webhook
from redraw.settings import WEBHOOKS, webhook_variables

# A shorter path, such as /redraw, is not masked: it may be an ordinary word of logs.
_SHORTEST_SECRET = 16


def grant_webhook(name: str) -> dict[str, Any]:
    """The URL and the secret of a webhook that receives events, from its connection.

    Raises:
        InvalidSetting: The name is not listed.
    """
    if name not in WEBHOOKS.read():
        raise InvalidSetting(
            f"webhook {name}: expected one of the names in REDRAW_WEBHOOKS, got another name. Add the name"
            " to REDRAW_WEBHOOKS."
        )
    return _from_connection(name)


def find_webhook(name: str) -> Webhook:
    """A webhook for this process itself; a notifier may use one that receives no events.

    Raises:
        InvalidSetting: There is neither a connection nor a variable of the name.
    """
    variable, url, secret = webhook_variables(name)
    if not url:
        url, secret = _from_connection(name).values()
    if not url:
        raise InvalidSetting(
            f"webhook {name}: expected a connection of this name, or {variable}, got neither. Create the"
            " connection."
        )
    return Webhook(name=name, url=url, secret=secret or "")


def _from_connection(name: str) -> dict[str, Any]:
    """The connection's host, with its schema and port unless it is a URL, and its password as the secret."""
    try:
        connection = BaseHook.get_connection(name)
    except AirflowNotFoundException:
        return {"url": None, "secret": None}
    except Exception as err:  # from a secrets backend; the error's text may be a secret
        raise InvalidSetting(
            f"webhook {name}: expected a connection of this name, got {type(err).__name__}. Correct the"
            " connection or the secrets backend."
        ) from err
    url = connection.host or ""
    if "://" not in url:
        port = f":{connection.port}" if connection.port else ""
        host, slash, path = url.partition("/")
        host = f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host  # IPv6
        url = f"{connection.schema or 'https'}://{host}{port}{slash}{path}"
    path = url.partition("://")[2].partition("/")[2]
    for secret in (url, path if len(path) >= _SHORTEST_SECRET else "", connection.password):
        if secret:
            mask_secret(secret)
    return {"url": url, "secret": connection.password}
