"""The base of operators whose arguments name places: it checks those that come from the run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import jinja2
from airflow.sdk import BaseOperator, Context, XComArg

from redraw.errors import InvalidName, InvalidRequest
from redraw.records import Record
from redraw.uri import Uri
from redraw_airflow.operators.allowed import (
    CATALOGUES,
    PLACES,
    WORK_FOLDERS,
    Place,
    demand_allowed,
    is_literal,
    named_places,
    resolve_path,
)
from redraw_airflow.operators.arguments import TakesArguments, is_several, text


class PlacesOperator(BaseOperator, TakesArguments):
    """An operator some of whose arguments name places; every argument that has a kind is a template.

    Airflow takes the defaults of mapped operators from each class that has its own `__init__`. This class
    must not have one, so `BaseOperator` is its first base.

    Attributes:
        places: Argument to where its place may be; a class lists those that differ from `PLACES`.
    """

    places: ClassVar[Mapping[str, Sequence[Place]]] = {}
    # None until they are rendered. Airflow renders a mapped operator without calling this class.
    _from_run: frozenset[str] | None = None
    _templates: frozenset[str] = frozenset()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "kinds" in cls.__dict__ and "template_fields" not in cls.__dict__:
            cls.template_fields = tuple(cls.kinds)
        usual = {name: PLACES[name] for name in cls.__dict__.get("kinds", ()) if name in PLACES}
        inherited = getattr(super(cls, cls), "places", {})
        cls.places = {**inherited, **usual, **cls.__dict__.get("places", {})}

    def render_template_fields(self, context: Context, jinja_env: jinja2.Environment | None = None) -> None:
        """Render, and remember which places the DAG's author did not write, and which are templates."""
        values = {name: getattr(self, name) for name in self.places}
        self._from_run = frozenset(name for name, value in values.items() if not is_literal(value))
        self._templates = frozenset(name for name in self._from_run if not _is_record(values[name]))
        super().render_template_fields(context, jinja_env)

    def take_allowed_arguments(self, context: Context) -> None:
        """Demand that the places of the run are allowed, and convert every argument by its kind.

        A relative path means one below the work folder.

        Raises:
            InvalidRequest: An argument does not fit its kind, is no URI, or names a place that is not
                allowed.
        """
        from_run = self.arguments_of_run(context, self._from_run, self.places)
        work_dir = text("work_dir", getattr(self, "work_dir", None))
        for name, places in self.places.items():
            argument = getattr(self, name)
            # The XComs of mapped tasks are a sequence that fetches each item when it is used: fetch them
            # once.
            value = list(argument) if is_several(argument) else argument
            if WORK_FOLDERS in places and name != "work_dir":
                value = resolve_path(value, work_dir)
            if value is not argument:
                setattr(self, name, value)
            try:
                uris, checkpoints = named_places(name, value, name in self._templates)
                if name in from_run:
                    demand_allowed(name, uris, places)
                    demand_allowed(name, checkpoints, [*places, CATALOGUES, WORK_FOLDERS])
                for uri in uris:
                    Uri(uri)
            except InvalidName as err:
                raise InvalidRequest(f"{name}: {err}") from err
        self.take_arguments()

    def arguments_of_run(
        self, context: Context, rendered: Iterable[str] | None, names: Iterable[str]
    ) -> frozenset[str]:
        """The arguments that the run decides: those that were rendered, and all of a mapped operator."""
        mapped = getattr(context.get("ti"), "map_index", None) not in (None, -1)
        return frozenset(names if mapped and rendered is None else rendered or ())


def _is_record(value: Any) -> bool:
    """Whether an argument, before it is rendered, is a record of another task or of the DAG's author."""
    if isinstance(value, list | tuple):
        return all(map(_is_record, value))
    return isinstance(value, XComArg | Mapping | Record)
