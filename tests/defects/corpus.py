"""Every planted defect, in one list."""

from __future__ import annotations

from tests.defects import (
    in_definitions,
    in_files,
    in_foreign_calls,
    in_foreign_files,
    in_graphs,
    in_odd_names,
    in_other_writers,
    in_promises,
    in_signatures,
    in_weights,
    in_witnesses,
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
    *in_foreign_calls.DEFECTS,
    *in_other_writers.DEFECTS,
    *in_odd_names.DEFECTS,
    *in_witnesses.DEFECTS,
)
