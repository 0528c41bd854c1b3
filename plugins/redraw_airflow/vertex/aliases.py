"""Moves Vertex AI's aliases of a model to where the live pointer points: the bucket decides, they follow."""

from __future__ import annotations

import logging

from redraw.records import LivePointer
from redraw_airflow.vertex.model import VERSION_LABEL, VertexModel, numbered_name

log = logging.getLogger(__name__)


def move_aliases(target: VertexModel, pointer: LivePointer) -> dict[str, str]:
    """Put the aliases where the live pointer points.

    `live` and `default` go to the live version, `canary` to the one so labelled. Where that one is
    not registered, nothing has the alias: it must not stay on a version that is it no more. Only `default`
    stays, for Vertex AI wants a model to have it.

    Returns:
        Alias to Vertex AI's number of the version that has it now.
    """
    versions = target.versions()
    ours = {version.labels.get(VERSION_LABEL): version for version in reversed(versions)}
    wanted = {"live": pointer.version, "default": pointer.version, "canary": pointer.labels.get("canary")}
    has: dict[str, str] = {}
    for alias, version in wanted.items():
        holder = next((item for item in versions if alias in item.version_aliases), None)
        chosen = ours.get(str(version))
        if chosen is None and holder is not None and alias != "default":
            target.hook.delete_version_aliases(**target.numbered(holder), version_aliases=[alias])
            log.info("alias %s taken from %s", alias, numbered_name(holder))
        elif chosen is not None and chosen is not holder:
            # Vertex AI takes the alias from whichever version has it, in the same step.
            target.hook.add_version_aliases(**target.numbered(chosen), version_aliases=[alias])
            log.info("alias %s moved to %s", alias, numbered_name(chosen))
        kept = chosen or (holder if alias == "default" else None)
        if kept is not None:
            has[alias] = kept.version_id
    return has
