"""Every planted defect, in one list."""

from __future__ import annotations

from tests.defects import (
    in_definitions,
    in_files,
    in_foreign_files,
    in_graphs,
    in_promises,
    in_signatures,
    in_weights,
)
from tests.defects.planting import Defect

__all__ = ["DEFECTS"]

DEFECTS: tuple[Defect, ...] = (
    *in_files.DEFECTS,
    *in_weights.DEFECTS,
    *in_signatures.DEFECTS,
    *in_graphs.DEFECTS,
    *in_definitions.DEFECTS,
    *in_promises.DEFECTS,
    *in_foreign_files.DEFECTS,
)
