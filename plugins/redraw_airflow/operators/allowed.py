"""The places that a run may name: those that the deployment allows, and no other.

A DAG's author writes a place into the DAG and is trusted. What a template, a form's field or an XCom
gives comes from the run, and has to lie in an allowed place.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from redraw.errors import InvalidRequest
from redraw.settings import SERVERS, Setting
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
# Where a run may have what an argument, or a field of a form, names.
PLACES: Mapping[str, Sequence[Place]] = {
    **dict.fromkeys(("bucket", "against"), [BUCKETS]),
    "catalogue": [CATALOGUES],
    **dict.fromkeys(("work_dir", "training_run", "saved_model", "report"), [WORK_FOLDERS]),
    **dict.fromkeys(("warm_start", "checkpoint", "checkpoints"), [CATALOGUES, WORK_FOLDERS]),
    **dict.fromkeys(("requests", "reference"), [BUCKETS, CATALOGUES, WORK_FOLDERS]),
}

# Of a catalogue's checkpoint: its step, or its folder there.
_IN_CATALOGUE = re.compile(r"[0-9]+(-[0-9a-f]+)?")


def is_literal(value: Any) -> bool:
    """Whether an argument, before it is rendered, is what the DAG's author wrote."""
    if isinstance(value, list | tuple):
        return all(map(is_literal, value))
    if isinstance(value, str):
        return "{{" not in value and "{%" not in value
    return value is None or isinstance(value, os.PathLike)


def resolve_path(value: Any, work_dir: str | None) -> Any:
    """A relative path as one below the work folder; anything else is given back.

    Args:
        value: An argument's value, or several.
        work_dir: The work folder; `REDRAW_WORK` by default, and without one a path stays as it is.
    """
    if is_several(value):
        return [resolve_path(one, work_dir) for one in value]
    root = work_dir or WORK.read()
    path = str(value) if isinstance(value, str | os.PathLike) else ""
    is_path = not is_nothing(path) and "://" not in path and path.lstrip()[:1] not in "/{["
    return f"{root.rstrip('/')}/{path}" if root and is_path and not _IN_CATALOGUE.fullmatch(path) else value


def named_places(name: str, value: Any, templated: bool) -> tuple[list[str], list[str]]:
    """The places that an argument names: itself, or, of a record that came as text, what stands in it.

    Args:
        name: The argument.
        value: Its value: text, a record, or several of them.
        templated: Whether it is a template's; what another task returned is a record from the first.

    Returns:
        Its places, and those of the checkpoints that its records were made from.

    Raises:
        InvalidRequest: A text is no record.
    """
    own: list[str] = []
    checkpoints: list[str] = []
    for one in value if is_several(value) else [value]:
        if isinstance(one, str) and one.lstrip()[:1] == "[":
            found = named_places(name, records(name, one), True)
        elif isinstance(one, str) and one.lstrip()[:1] == "{":
            found = named_places(name, [record(name, one)], True)
        elif isinstance(one, str | os.PathLike):
            found = [str(one)], []
        else:
            found = _uris(one if templated else None)
        own += found[0]
        checkpoints += found[1]
    return own, checkpoints


def _uris(value: Any) -> tuple[list[str], list[str]]:
    """Where a record says that it, and the records in it, lie, and where the checkpoints in it do."""
    own: list[str] = []
    checkpoints: list[str] = []
    for key, one in (
        value.items() if isinstance(value, Mapping) else enumerate(value if is_several(value) else ())
    ):
        if key == "uri" and isinstance(one, str):
            own.append(one)
            continue
        inner = _uris(one)
        (checkpoints if key == "checkpoint" else own).extend(inner[0])
        checkpoints += inner[1]
    return own, checkpoints


def demand_allowed(field: str, value: Any, places: Sequence[Place]) -> None:
    """Demand that a place is an allowed one, or lies in one.

    Args:
        field: The argument, for the message.
        value: Its value: a path or a URI, or several. Records and checkpoints of the catalogue name no place.
        places: Where it may be.

    Raises:
        InvalidRequest: It is elsewhere.
        InvalidName: It is no URI.
        InvalidSetting: A list of the deployment is malformed.
    """
    roots = [_roots(place) for place in places]
    if any(root is None for root in roots):
        return
    allowed = [root for some in roots for root in some or ()]
    for text in [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else ():
        if not isinstance(text, str) or is_nothing(text) or _IN_CATALOGUE.fullmatch(text):
            continue
        if not any(_is_in(Uri(text), root) for root in allowed):
            raise InvalidRequest(
                f"{field}: expected a place in {' or '.join(allowed)}, got {text!r:.200}. Name one of them,"
                f" or have it added to {' or '.join(listed.variable for listed, _ in places)}."
            )


def split_servers(texts: Iterable[str]) -> list[str]:
    """Model servers, of texts that name one each or several with commas between them."""
    return [one.strip() for text in texts for one in text.split(",") if one.strip()]


def demand_allowed_servers(servers: Iterable[str]) -> None:
    """Demand that model servers which a run names are of the deployment: a worker connects to them.

    Raises:
        InvalidRequest: One is neither in `REDRAW_SERVERS` nor in `REDRAW_ALLOWED_SERVERS`.
    """
    allowed = {*SERVERS.read(), *ALLOWED_SERVERS.read()}
    for server in servers if "*" not in allowed else ():
        if server not in allowed:
            raise InvalidRequest(
                f"servers: expected servers of {SERVERS.variable} or {ALLOWED_SERVERS.variable}, got"
                f" {server!r:.200}. Name one of them, or have it added."
            )


def _roots(place: Place) -> tuple[str, ...] | None:
    """Where a run's places may lie; None for anywhere, if nothing says otherwise."""
    listed, default = place
    roots, configured = listed.read(), default.read()
    if "*" in roots or not (roots or configured):
        return None
    return (*roots, *([Uri(configured)] if configured else []))


def _is_in(uri: Uri, root: str) -> bool:
    # A path is compared as it is read: `/work/../etc` is not in `/work`.
    text = uri if uri.is_bucket else posixpath.normpath(uri)
    return text == root or text.startswith(f"{root.rstrip('/')}/")
