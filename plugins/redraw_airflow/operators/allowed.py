"""The places that a run may name: those that the deployment allows, and no other.

A DAG's author writes a place into the DAG and is trusted. What a template, a form's field or an XCom
gives comes from the run, and has to lie in an allowed place.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from typing import Any

from redraw.errors import InvalidRequest
from redraw.settings import Setting
from redraw.uri import Uri
from redraw_airflow.settings import (
    ALLOWED_BUCKETS,
    ALLOWED_CATALOGUES,
    ALLOWED_WORK,
    CHECKPOINTS,
    MODEL_BUCKET,
    WORK,
)

__all__ = ["BUCKETS", "CATALOGUES", "WORK_FOLDERS", "Place", "demand_allowed", "is_literal"]

# The list of a deployment, and the setting that is its default.
Place = tuple[Setting[tuple[str, ...]], Setting[str | None]]
BUCKETS: Place = (ALLOWED_BUCKETS, MODEL_BUCKET)
CATALOGUES: Place = (ALLOWED_CATALOGUES, CHECKPOINTS)
WORK_FOLDERS: Place = (ALLOWED_WORK, WORK)

# Of a catalogue's checkpoint: its step, or its folder there.
_IN_CATALOGUE = re.compile(r"[0-9]+(-[0-9a-f]+)?")


def is_literal(value: Any) -> bool:
    """Whether an argument, before it is rendered, is what the DAG's author wrote."""
    if isinstance(value, list | tuple):
        return all(map(is_literal, value))
    return value is None or (isinstance(value, str) and "{{" not in value and "{%" not in value)


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
        if not isinstance(text, str) or text.strip() in {"", "None"} or _IN_CATALOGUE.fullmatch(text):
            continue
        if not any(_is_in(Uri(text), root) for root in allowed):
            raise InvalidRequest(
                f"{field}: expected a place in {' or '.join(allowed)}, got {text!r:.200}. Name one of them,"
                f" or have it added to {' or '.join(listed.variable for listed, _ in places)}."
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
