"""What is exported passes the checks of files, weights and graphs, whatever it is made of."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from redraw.records import Checkpoint, ExportedModel
from redraw.validate.plan import PLAN
from redraw.validate.subject.standard import Standard
from redraw.validate.subject.subject import Subject

STATIC = (
    "files-whole",
    "finite-weights",
    "method-names",
    "custom-ops",
    "host-code",
    "unreached-functions",
    "single-copy",
    "inference-ops",
    "weights-source",
    "signatures",
    "serving-runtime",
    "assets",
)


@pytest.mark.parametrize(
    ("model", "findings"),
    [
        ("every_module", []),
        # Its layer Count adds to a variable whenever it is asked.
        ("every_layer", ["inference-ops"]),
    ],
)
def test_export_of_every_kind_is_found_to_be_what_it_is(
    model: str,
    findings: list[str],
    make_checkpoint: Callable[[str], Checkpoint],
    export: Callable[..., ExportedModel],
    tmp_path: Path,
) -> None:
    exported = export(make_checkpoint(model))
    subject = Subject(
        exported=exported,
        folder=Path(exported.uri),
        checkpoint=exported.checkpoint,
        live=None,
        allow_breaking="",
        standard=Standard(model, exported.checkpoint.trained_at),
        serving=cast("Any", None),
        scratch=tmp_path,
    )
    planned = [planned for planned in PLAN if planned.name in STATIC]
    assert len(planned) == len(STATIC)
    checks = [one.run(subject) for one in planned]
    assert [check.name for check in checks if check.status != "passed"] == findings, checks
    for check in checks:
        assert check.status == "passed" or "AssignVariableOp 'network_1/count_1/" in check.found
