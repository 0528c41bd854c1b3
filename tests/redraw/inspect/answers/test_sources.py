"""Where the requests of a comparison come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from redraw.definition import GoldenExamples
from redraw.errors import InvalidRequest
from redraw.inspect.answers.sources import batches_of_examples, demand_sources
from redraw.records import Signature, TensorSpec
from redraw.storage.opening import open_storage

_NUMBER = TensorSpec("float32", (None,))
PAIRS = Signature(inputs={"x": TensorSpec("float32", (None, 2)), "z": _NUMBER}, outputs={"y": _NUMBER})


def test_demand_sources_takes_examples_and_files_that_exist(tmp_path: Path, bucket: str) -> None:
    (tmp_path / "log").write_text("{}")
    open_storage(bucket).create("logs/log", b"{}")
    demand_sources(["golden", str(tmp_path / "log"), f"{bucket}/logs/log", "held-out"])
    demand_sources([])
    for absent in (str(tmp_path), str(tmp_path / "absent"), f"{bucket}/logs/absent", f"{bucket}/logs"):
        with pytest.raises(InvalidRequest, match=f"requests {absent}: expected a file of JSON lines"):
            demand_sources(["golden", str(tmp_path / "log"), absent])


def test_batches_of_examples_are_those_of_common_signatures_in_order_of_their_names() -> None:
    x, z = np.arange(10.0).reshape(5, 2), np.arange(5)
    examples = {
        "pairs": GoldenExamples(inputs={"x": x, "z": z}, labels={"y": z}),
        "gone": GoldenExamples(inputs={"x": x}),
        "others": GoldenExamples(inputs={"x": x[:1], "z": z[:1]}),
    }
    found = list(
        batches_of_examples("golden", examples, dict.fromkeys(("pairs", "others"), PAIRS), lambda: 2)
    )
    assert [(one.signature, one.numbers.tolist()) for one in found] == [
        ("others", [0]),
        ("pairs", [0, 1]),
        ("pairs", [2, 3]),
        ("pairs", [4]),
    ]
    assert {(one.source, one.unit) for one in found} == {("golden", "row")}
    assert [one.labels for one in found[:1]] == [{}]
    assert np.concatenate([one.labels["y"] for one in found[1:]]).tolist() == z.tolist()
    assert np.concatenate([one.inputs["x"] for one in found[1:]]).tolist() == x.tolist()
    assert found[1].inputs["z"].dtype == np.float32
    assert found[1].row_name(1) == "golden row 1"
