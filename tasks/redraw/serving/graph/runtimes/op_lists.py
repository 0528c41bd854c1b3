"""Which operations each release of TensorFlow knows, without TensorFlow."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

# Made by tasks/redraw/serving/graph/runtimes/collect.py.
OP_LISTS = Path(__file__).with_name("op_lists.json.gz")


@dataclass(frozen=True, kw_only=True)
class OpForm:
    """One operation in the form that one or several successive releases know.

    Attributes:
        first: The first of these releases, such as `2.12`.
        last: The last of them.
        stateful: Whether it keeps or changes a state between requests, or reaches outside.
        deprecated: The first graph version in which it is refused; None if it is not refused.
        defaults: Attribute to its default as a serialized `AttrValue`; None if it has no default.
        allowed: Attribute to the values that it may have (numbers of dtypes, or strings), for
            attributes that are restricted.
    """

    first: str
    last: str
    stateful: bool
    deprecated: int | None
    defaults: Mapping[str, bytes | None]
    allowed: Mapping[str, frozenset[int | str]]


class Releases:
    """The last ten releases of TensorFlow.

    Attributes:
        graph_versions: Release to the version of the graphs that it writes (`producer`), the
            oldest release first.
    """

    def __init__(self, graph_versions: Mapping[str, int], ops: Mapping[str, list[dict[str, Any]]]) -> None:
        """Store the content of `op_lists.json.gz`."""
        self.graph_versions = graph_versions
        self._ops = ops
        self._order = {release: number for number, release in enumerate(graph_versions)}

    def known_at(self, op: str, release: str) -> OpForm | None:
        """The form in which a release knows an operation; None if it does not know it.

        Args:
            op: The operation's type.
            release: One of `graph_versions`.
        """
        return next((form for form in self.forms(op) if self._within(form, release)), None)

    def forms(self, op: str) -> Iterator[OpForm]:
        """Every form of an operation, the oldest first; none for an unknown operation."""
        yield from (_form(raw) for raw in self._ops.get(op, ()))

    def newest(self, op: str) -> OpForm | None:
        """The newest form of an operation; None for an unknown operation."""
        forms = self._ops.get(op)
        return _form(forms[-1]) if forms else None

    def _within(self, form: OpForm, release: str) -> bool:
        return self._order[form.first] <= self._order[release] <= self._order[form.last]


@cache
def read_releases() -> Releases:
    """Read the op lists that Redraw ships."""
    content = json.loads(gzip.decompress(OP_LISTS.read_bytes()))
    return Releases(content["graph_versions"], content["ops"])


def _form(raw: Mapping[str, Any]) -> OpForm:
    attrs: Mapping[str, Mapping[str, Any]] = raw["attrs"]
    return OpForm(
        first=raw["first"],
        last=raw["last"],
        stateful=raw.get("stateful", False),
        deprecated=raw.get("deprecated"),
        defaults={
            name: bytes.fromhex(attr["default"]) if "default" in attr else None
            for name, attr in attrs.items()
        },
        allowed={name: frozenset(attr["allowed"]) for name, attr in attrs.items() if "allowed" in attr},
    )
