"""Look up the served variables in one catalog of a checkpoint's keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from redraw.checkpoint.formats.source import CheckpointSource
from redraw.errors import CheckpointMismatch
from redraw.export.weights.key_index import Catalog
from redraw.export.weights.ledger import Served
from redraw.export.weights.renaming import of_same_name, rename
from redraw.export.weights.request import RequestedVariable, WeightsRequest
from redraw.export.weights.suggestions import describe_left_out, describe_missing

_SHOWN = 5


class Lookup:
    """The served variables and their keys in one catalog.

    Attributes:
        catalog: The catalog.
        source: The checkpoint.
        found: Served variable to key, for those in the catalog.
        missing: The variables that are not in the catalog.
    """

    def __init__(self, catalog: Catalog, request: WeightsRequest, source: CheckpointSource) -> None:
        """Look up every variable."""
        self.catalog, self.source = catalog, source
        self._request = request
        self.found: dict[str, str] = {}
        self.missing: list[RequestedVariable] = []
        for variable in request.variables:
            key = self.key_of(variable.name)
            if key is None:
                self.missing.append(variable)
            else:
                self.found[variable.name] = key

    def _unsaved(self) -> str:
        """The message for variables that Keras does not save in its files."""
        keras = self.source.format in ("keras", "keras_weights")
        names = (
            [v.name for v in self.missing if v.name not in self._request.places.in_keras_files]
            if keras
            else []
        )
        if not names or not self._request.places.in_keras_files:
            return ""
        layers = sorted({name.rpartition("/")[0] or name for name in names})
        return (
            f"served variable {names[0]!r}: expected its value in the file, found no place that is certain"
            f" ({len(names)} such variables, of {', '.join(layers[:_SHOWN])}). Keras does not save these"
            " variables in this format, or the layer's own save_own_variables does. Save the trained model"
            " again, as a tf.train.Checkpoint, and export that checkpoint."
        )

    def _left_out(self, free: Mapping[str, str]) -> str:
        names = [variable.name for variable in self.missing]
        nodes = self.source.graph.nodes if self.source.graph is not None else ()
        names_in_file = {
            tensor.full_name for node in nodes for tensor in node.variables() if tensor.key in free.values()
        }
        # If names differ only by counters, only the order tells which variable is which.
        alike = all(any(of_same_name(name, other) for other in names_in_file) for name in names)
        return describe_left_out(
            names, self.source, self._request.places.in_keras_2_files, others=bool(free), alike=alike
        )

    def key_of(self, name: str) -> str | None:
        """The key of a variable's value, by the definition's renames first."""
        renamed = rename(name, self._request.renames)
        if renamed is None:
            return self.catalog.find(name)
        return self.catalog.keys.get(renamed, renamed if renamed in self.source.entries else None)

    def served(self) -> Iterator[Served]:
        """Every served variable with its source.

        Raises:
            CheckpointMismatch: A variable has no source, or one of another shape or dtype.
        """
        if self.missing:
            free = {name: key for name, key in self.catalog.keys.items() if key not in self.found.values()}
            entries = {name: self.source.entries[key] for name, key in free.items()}
            raise CheckpointMismatch(
                self._unsaved() or self._left_out(free) or describe_missing(self.missing, entries)
            )
        for variable in self._request.variables:
            entry = self.source.entries[self.found[variable.name]]
            entry.demand_whole(self.source.uri)
            shape = tuple(variable.shape)
            if (shape, variable.dtype) != (entry.shape, entry.dtype):
                raise CheckpointMismatch(
                    f"served variable {variable.name!r}: expected {variable.dtype} {list(shape)}, got"
                    f" {entry.dtype} {list(entry.shape)} under {entry.key!r}. Export with the definition"
                    " that trained the checkpoint."
                )
            yield Served(variable=variable.name, key=entry.key, dtype=entry.dtype, shape=shape)
