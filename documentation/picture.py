"""Draw the tutorial's picture: the two graphs of the report of an old training's folder."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

__all__ = ["draw_recorded_picture"]


def draw_recorded_picture(target: Path) -> None:
    """Record a small network like TF1, and follow the steps of the tutorial.

    Args:
        target: The file of the picture, an SVG.
    """
    from redraw.draft.draft import draft_definition
    from redraw.export.export import export_model
    from redraw.requests import DraftRequest, ExportRequest, ValidateRequest
    from redraw.validate.validator import validate_model
    from tests.redraw.recorded.old_graphs import Case, record

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        old = record(
            Case(source="queue", dropout="floor", norm="fused", variables="reference"), folder / "old"
        )
        models = folder / "old_models"
        models.mkdir()
        (models / "__init__.py").touch()
        sys.path.insert(0, name)
        os.environ["REDRAW_MODELS"] = models.name
        draft_definition(
            DraftRequest.from_json({"source": str(old.prefix), "name": "churn", "out": str(models)})
        )
        out, report = str(folder / "model"), str(folder / "report.json")
        export_model(ExportRequest.from_json({"model": "churn", "checkpoint": str(old.prefix), "out": out}))
        validate_model(ValidateRequest.from_json({"model": "churn", "saved_model": out, "report": report}))
        shutil.copyfile(folder / "report.graphs.svg", target)
