"""The definitions that were found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from redraw.records import Record, Signature

__all__ = ["ModelDescription", "ModelList"]


@dataclass(frozen=True, kw_only=True)
class ModelDescription:
    """A definition that was found: its name, its first docstring line and its signatures."""

    name: str
    summary: str
    module: str
    signatures: Mapping[str, Signature] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ModelList(Record):
    """The definitions found in the packages that REDRAW_MODELS lists."""

    models: tuple[ModelDescription, ...]
