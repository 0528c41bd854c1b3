"""What the pages offer only where the API server's environment says so."""

from __future__ import annotations

import os

__all__ = ["TRY_IT", "offers_trials"]

TRY_IT = "REDRAW_TRY_IT"


def offers_trials() -> bool:
    """Whether users may ask published versions from their pages: where `REDRAW_TRY_IT` is 1.

    A trial runs a model on the API server's machine, so whoever owns that decides.
    """
    return os.environ.get(TRY_IT) == "1"
