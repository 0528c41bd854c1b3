"""The places that a run may name: only those that the deployment allows.

A place that a DAG's author writes into the DAG is trusted. A place from a template, a form's field or an XCom
comes from the run, and has to be in an allowed place.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from redraw.errors import InvalidRequest
from redraw.setting_kinds import Setting
from redraw.settings import SERVERS
from redraw.uri import Uri
from redraw_airflow.operators.arguments import is_nothing, is_several, record, records
from redraw_airflow.settings import (
    ALLOWED_BUCKETS,
    ALLOWED_CATALOGUES,
    ALLOWED_SERVERS,
    ALLOWED_WORK,
    CHECKPOINTS,
    MODEL_BUCKET,
    WORK,
)

# The list of a deployment, and the setting that is its default.
Place = tuple[Setting[tuple[str, ...]], Setting[str | None]]
BUCKETS: Place = (ALLOWED_BUCKETS, MODEL_BUCKET)
CATALOGUES: Place = (ALLOWED_CATALOGUES, CHECKPOINTS)
WORK_FOLDERS: Place = (ALLOWED_WORK, WORK)
# Argument, or field of a form, to where its place may be.
PLACES: Mapping[str, Sequence[Place]] = {
    **dict.fromkeys(("bucket", "against"), [BUCKETS]),
    "catalogue": [CATALOGUES],
    **dict.fromkeys(("work_dir", "training_run", "saved_model", "report"), [WORK_FOLDERS]),
    **dict.fromkeys(("warm_start", "checkpoint", "checkpoints"), [CATALOGUES, WORK_FOLDERS]),
    **dict.fromkeys(("requests", "reference"), [BUCKETS, CATALOGUES, WORK_FOLDERS]),
}

# A checkpoint of the catalogue: its step, or its folder there.
_IN_CATALOGUE = re.compile(r"[0-9]+(-[0-9a-f]+)?")


def is_literal(value: Any) -> bool:
    """Whether the DAG's author wrote the argument's value, so that it has no template or XCom."""
    if isinstance(value, list | tuple):
        return all(map(is_literal, value))
    if isinstance(value, str):
        return "{{" not in value and "{%" not in value
    return value is None or isinstance(value, os.PathLike)


def resolve_path(value: Any, work_dir: str | None) -> Any:
    """A relative path as one below the work folder; any other value is returned unchanged.

    Args:
        value: An argument's value, or several.
        work_dir: The work folder; `REDRAW_WORK` by default. If there is none, a path stays as it is.
    """
    if is_several(value):
        return [resolve_path(item, work_dir) for item in value]
    root = work_dir or WORK.read()
    path = str(value) if isinstance(value, str | os.PathLike) else ""
    is_path = not is_nothing(path) and "://" not in path and path.lstrip()[:1] not in "/{["
    return f"{root.rstrip('/')}/{path}" if root and is_path and not _IN_CATALOGUE.fullmatch(path) else value


def named_places(name: str, value: Any, templated: bool) -> tuple[list[str], list[str]]:
    """The places that an argument names: its own text, or the URIs in a record that came as text.

    Args:
        name: The argument.
        value: Its value: text, a record, or several of them.
        templated: Whether the value was rendered from a template. A record that another task returned is
            trusted.

    Returns:
        Its places, and those of the checkpoints that its records were made from.

    Raises:
        InvalidRequest: A text looks like a record and is none.
    """
    places: list[str] = []
    checkpoints: list[str] = []
    for item in value if is_several(value) else [value]:
        if isinstance(item, str) and item.lstrip()[:1] == "[":
            item_places = named_places(name, records(name, item), True)
        elif isinstance(item, str) and item.lstrip()[:1] == "{":
            item_places = named_places(name, [record(name, item)], True)
        elif isinstance(item, str | os.PathLike):
            item_places = [str(item)], []
        else:
            item_places = _uris(item if templated else None)
        places += item_places[0]
        checkpoints += item_places[1]
    return places, checkpoints


def _uris(value: Any) -> tuple[list[str], list[str]]:
    """The URIs of a record and of the records in it, and apart from them those of its checkpoints."""
    uris: list[str] = []
    checkpoints: list[str] = []
    for key, item in (
        value.items() if isinstance(value, Mapping) else enumerate(value if is_several(value) else ())
    ):
        if key == "uri" and isinstance(item, str):
            uris.append(item)
            continue
        inner = _uris(item)
        (checkpoints if key == "checkpoint" else uris).extend(inner[0])
        checkpoints += inner[1]
    return uris, checkpoints


def demand_allowed(field: str, value: Any, places: Sequence[Place]) -> None:
    """Demand that a place is, or is in, an allowed place.

    Args:
        field: The argument, for the message.
        value: Its value: a path or a URI, or several. Records and checkpoints of the catalogue name no place.
        places: Where it may be.

    Raises:
        InvalidRequest: It is not in an allowed place.
        InvalidName: It is no URI.
        InvalidSetting: A list of the deployment is malformed.
    """
    roots = [_roots(place) for place in places]
    if any(root is None for root in roots):
        return
    allowed = [root for place_roots in roots for root in place_roots or ()]
    for text in [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else ():
        if not isinstance(text, str) or is_nothing(text) or _IN_CATALOGUE.fullmatch(text):
            continue
        if not any(_is_in(Uri(text), root) for root in allowed):
            raise InvalidRequest(
                f"{field}: expected a path in {' or '.join(allowed)}, got {text!r:.200}. Choose a path in"
                " one of these, or have an administrator add it to"
                f" {' or '.join(listed.variable for listed, _ in places)}."
            )


def split_servers(texts: Iterable[str]) -> list[str]:
    """The model servers in texts, each of which names one or several with commas between them."""
    return [server.strip() for text in texts for server in text.split(",") if server.strip()]


def demand_allowed_servers(servers: Iterable[str]) -> None:
    """Demand that the model servers of a run are allowed, because a worker connects to them.

    Raises:
        InvalidRequest: One is neither in `REDRAW_SERVERS` nor in `REDRAW_ALLOWED_SERVERS`.
    """
    allowed = {*SERVERS.read(), *ALLOWED_SERVERS.read()}
    for server in servers if "*" not in allowed else ():
        if server not in allowed:
            raise InvalidRequest(
                f"servers: expected servers of {SERVERS.variable} or {ALLOWED_SERVERS.variable}, got"
                f" {server!r:.200}. Choose one of these, or have an administrator add the server."
            )


def _roots(place: Place) -> tuple[str, ...] | None:
    """Where a run's places may be; None if they may be anywhere."""
    listed, default = place
    roots, configured = listed.read(), default.read()
    if "*" in roots or not (roots or configured):
        return None
    return (*roots, *([Uri(configured)] if configured else []))


def _is_in(uri: Uri, root: str) -> bool:
    # Normalized: `/models/../etc` is not in `/models`.
    text = uri if uri.is_bucket else posixpath.normpath(uri)
    return text == root or text.startswith(f"{root.rstrip('/')}/")
