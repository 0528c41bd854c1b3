"""A session that refuses the operations of a recorded graph that reach outside of it.

A recording is as untrusted as its checkpoint. Before each run the session examines every operation that the
fetched tensors need and that no feed replaces. It refuses operations that touch files, sockets or Python.
Only the recording's own Saver may read files, and only the checkpoint whose path is fed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from redraw.recorded.nodes import called_functions
from redraw.serving.graph.allowed import reaches_outside
from redraw.validate.outcome import CannotRun

tf1 = tf.compat.v1

# The operations of a Saver and of table files, to the number of the input that names the file.
_READS_FED = {
    "RestoreV2": 0,
    "Restore": 0,
    "RestoreSlice": 0,
    "InitializeTableFromTextFile": 1,
    "InitializeTableFromTextFileV2": 1,
}
_PASSES_ON = {"Identity", "PlaceholderWithDefault"}


class GuardedSession:
    """A session with the methods that `UntouchedReference`, its layers and TensorFlow's Saver call.

    Args:
        recorded: The `GraphDef` that was imported.
        most_ms: The timeout of a run in milliseconds.
    """

    def __init__(self, recorded: Any, most_ms: int) -> None:
        self._session = tf1.Session(config=tf1.ConfigProto(operation_timeout_in_ms=most_ms))
        self.graph = self._session.graph
        self._nodes = {node.name: node for node in recorded.node}
        self._bodies = {function.signature.name: function for function in recorded.library.function}
        self._inner: dict[str, str] = {}

    def run(self, fetches: Any, feeds: Mapping[Any, Any] | None = None) -> Any:
        """Fetch tensors, as `tf.compat.v1.Session.run` does.

        Raises:
            CannotRun: The run needs an operation that reaches outside of the session.
        """
        fed = set(map(_name, feeds or {}))
        for node in self._needed(fetches, fed):
            if (why := self._outside(node, fed)) != "":
                raise CannotRun(
                    f"the recorded graph was not run: {node.op} {node.name!r} {why}",
                    "Draft again with inputs after this operation, or waive the check: --waive"
                    " recorded-answers=REASON.",
                )
        return self._session.run(fetches, feeds)

    def close(self) -> None:
        """Free the weights."""
        self._session.close()

    def _needed(self, fetches: Any, fed: set[str]) -> Iterator[Any]:
        """The operations that would run."""
        queue = [name for name in map(_name, _flat(fetches)) if name not in fed]
        seen = {name.partition(":")[0] for name in queue}
        queue = list(seen)
        for name in queue:
            node = self._nodes.get(name)
            if node is None:  # one that this process added, such as a placeholder of a Saver
                continue
            yield node
            for source in node.input:
                tensor = source if ":" in source or source.startswith("^") else f"{source}:0"
                before = source.lstrip("^").partition(":")[0]
                if tensor not in fed and before not in seen:
                    seen.add(before)
                    queue.append(before)

    def _outside(self, node: Any, fed: set[str]) -> str:
        """Why an operation or one in a function that it calls reaches outside; empty if none does."""
        place = _READS_FED.get(node.op)
        if place is not None and len(node.input) > place and self._is_fed(node.input[place], fed):
            return ""
        group = reaches_outside(node)
        if group is not None:
            return group.reason
        called = called_functions(node)
        return next(filter(None, (self._within(name) for name in called if name in self._bodies)), "")

    def _within(self, name: str) -> str:
        if name not in self._inner:
            self._inner[name] = ""  # a function that calls itself adds nothing
            reasons = (self._outside(node, set()) for node in self._bodies[name].node_def)
            why = next(filter(None, reasons), "")
            self._inner[name] = f"calls {name!r}, which {why}" if why else ""
        return self._inner[name]

    def _is_fed(self, source: str, fed: set[str]) -> bool:
        """Whether a path is fed, and not a constant of the graph."""
        while True:
            tensor = source if ":" in source else f"{source}:0"
            if tensor in fed:
                return True
            node = self._nodes.get(source.partition(":")[0])
            if node is None or node.op not in _PASSES_ON:
                return False
            source = node.input[0]


def _flat(fetches: Any) -> list[Any]:
    values = fetches.values() if isinstance(fetches, Mapping) else fetches
    return list(values) if not isinstance(fetches, str | tf.Tensor | tf.Operation) else [fetches]


def _name(tensor: Any) -> str:
    return tensor if isinstance(tensor, str) else str(tensor.name)
