"""Scopes of two drawings of one network under the same names.

TensorFlow numbers a scope that is opened twice (`dense`, `dense_1`), so that one layer
has another scope in each drawing. Layers are known by the names that they were given.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable, Mapping

_NUMBER = re.compile(r"_\d+$")


def plain_scopes(scopes: Iterable[str], layers: frozenset[str]) -> dict[str, str]:
    """Take off the numbers that a drawing gave to its scopes.

    Returns:
        Scope to the same by the layers' names.
    """
    siblings = _siblings(scopes)
    plain = {"": ""}
    for path in sorted(siblings, key=lambda one: one.count("/")):
        names = siblings[path]
        stripped = {name: _NUMBER.sub("", name) for name in names}
        known = [name for name in names if name in layers or stripped[name] in layers]
        # `dense_1` is the layer of this name, or `dense` drawn again: what fits all its siblings.
        all_numbered = len({stripped[name] for name in known} & layers) == len(known)
        for name in names:
            takes = stripped[name] in layers and (all_numbered or name not in layers)
            plain[_below(path, name)] = _below(plain[path], stripped[name] if takes else name)
    return plain


def align_scopes(served: Iterable[str], trained: Iterable[str]) -> dict[str, str]:
    """Where a served scope is none of training's, take its only sibling of the same stem.

    Returns:
        Served scope to the scope of training that it is, or to itself.
    """
    theirs, ours = _siblings(trained), _siblings(served)
    aligned = {"": ""}
    for path in sorted(ours, key=lambda one: one.count("/")):
        siblings: Collection[str] = theirs.get(aligned[path], ())
        free = [name for name in siblings if name not in ours[path]]
        for name in ours[path]:
            alike = [one for one in free if _NUMBER.sub("", one) == _NUMBER.sub("", name)]
            taken = alike[0] if name not in siblings and len(alike) == 1 else name
            aligned[_below(path, name)] = _below(aligned[path], taken)
    return aligned


@functools.lru_cache(maxsize=65536)  # operations of one scope ask one after the other
def layer_of(scope: str, layers: frozenset[str]) -> str:
    """The innermost layer that a scope belongs to; without any the outermost scope."""
    parts = scope.split("/")
    last = max((number for number, part in enumerate(parts) if part in layers), default=0)
    return "/".join(parts[: last + 1])


def _siblings(scopes: Iterable[str]) -> Mapping[str, list[str]]:
    """Path to the names below it, for every scope and all above it."""
    found: dict[str, dict[str, None]] = {}
    for scope in scopes:
        path = ""
        for name in scope.split("/") if scope else ():
            found.setdefault(path, {})[name] = None
            path = _below(path, name)
    return {path: sorted(names) for path, names in found.items()}


def _below(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
