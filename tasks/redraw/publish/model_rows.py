"""What a list of models says of each."""

from __future__ import annotations

from dataclasses import dataclass

from redraw.definition.registry import FoundModel
from redraw.names import ModelName
from redraw.publish.version_rows import VersionRow


@dataclass(frozen=True, kw_only=True)
class ModelRow:
    """A model in the list of models.

    Attributes:
        name: The definition's.
        summary: The first line of its docstring.
        problem: Why its definition cannot be used; empty where it can.
        live: The live version; None before the first.
        live_problem: Why the live pointer cannot be read; empty if it can.
        versions: How many were published, the pruned ones included.
        recent: The last of them, the newest weights first.
        owner: As `FoundModel`, and so are the others.
    """

    name: ModelName
    summary: str
    problem: str
    live: int | None
    live_problem: str
    versions: int
    recent: tuple[VersionRow, ...]
    owner: str = ""
    schedule: str = ""
    metrics: tuple[str, ...] = ()


def undescribed_row(model: FoundModel) -> ModelRow:
    """A model as only its definition describes it, where the bucket cannot be read."""
    name = ModelName(model.name)
    return ModelRow(
        name=name,
        summary=model.summary,
        problem=model.problem,
        live=None,
        live_problem="",
        versions=0,
        recent=(),
        owner=model.owner,
        schedule=model.schedule,
        metrics=model.metrics,
    )
