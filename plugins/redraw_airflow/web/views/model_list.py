"""The models of a list, and their order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redraw.publish.version_rows import ModelRow
from redraw_airflow.web.views.model_runs import ModelRuns
from redraw_airflow.web.views.pagination import has_words

# The form's choices: value to label.
STATES: Mapping[str, str] = {
    "": "all",
    "live": "live",
    "idle": "published, none live",
    "unpublished": "not published",
    "failed": "last run failed",
    "broken": "definition broken",
}
ORDERS: Mapping[str, str] = {
    "": "published first",
    "name": "name",
    "failure": "last failure",
    "run": "last run",
    "trained": "newest weights",
    "versions": "number of versions",
}


@dataclass(frozen=True, kw_only=True)
class ListedModel:
    """A model, and its runs in Airflow."""

    row: ModelRow
    runs: ModelRuns

    @property
    def states(self) -> frozenset[str]:
        """The `STATES` that it is in."""
        row, last = self.row, self.runs.last
        conditions = {
            "live": row.live is not None,
            "idle": row.live is None and row.versions > 0,
            "unpublished": not row.versions,
            "failed": self.runs.failure is not None or (last is not None and last.state == "failed"),
            "broken": bool(row.problem or row.live_problem),
        }
        return frozenset(name for name, holds in conditions.items() if holds)


_KEYS: Mapping[str, Callable[[ListedModel], Any]] = {
    "failure": lambda model: model.runs.failure.run.started_at or "" if model.runs.failure else "",
    "run": lambda model: model.runs.last.started_at or "" if model.runs.last else "",
    "trained": lambda model: model.row.recent[0].trained_at if model.row.recent else "",
    "versions": lambda model: model.row.versions,
}


def needs_facts(state: str, order: str) -> bool:
    """Whether such a list needs more of every model than its definition."""
    return bool(state in STATES and state) or order in _KEYS


def find_models(
    models: Sequence[ListedModel], text: str = "", state: str = "", owner: str = "", order: str = ""
) -> list[ListedModel]:
    """Find and sort models.

    Args:
        models: All models, those with versions first, then by name.
        text: Words that have to be in the name, the summary or the owner.
        state: One of `STATES`.
        owner: The owner; empty for all.
        order: One of `ORDERS`; equal models stay in the order of `models`.
    """
    matching = [
        model
        for model in models
        if has_words(text, model.row.name, model.row.summary, model.row.owner)
        and (state not in STATES or not state or state in model.states)
        and (not owner or owner == model.row.owner)
    ]
    if order == "name":
        return sorted(matching, key=lambda model: model.row.name)
    return sorted(matching, key=_KEYS[order], reverse=True) if order in _KEYS else matching
