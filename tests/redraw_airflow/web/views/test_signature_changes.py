from __future__ import annotations

from redraw.records import Signature, TensorSpec
from redraw_airflow.web.views.signature_changes import compare_signatures

_IMAGE, _DIGIT = TensorSpec("uint8", (None, 28, 28)), TensorSpec("int64", (None,))


def test_compare_tells_every_tensor_of_either_and_what_changed() -> None:
    here = {
        "a": Signature(
            inputs={"same": _IMAGE, "dtype": _IMAGE, "shape": _IMAGE, "both": _IMAGE, "new": _IMAGE},
            outputs={"y": _DIGIT},
        ),
        "only_here": Signature(inputs={"x": _IMAGE}, outputs={}),
    }
    there = {
        "a": Signature(
            inputs={
                "same": _IMAGE,
                "dtype": TensorSpec("int8", (None, 28, 28)),
                "shape": TensorSpec("uint8", (None, 784)),
                "both": _DIGIT,
                "old": _IMAGE,
            },
            outputs={"y": _DIGIT},
        ),
        "only_there": Signature(inputs={}, outputs={"y": _DIGIT}),
    }
    rows = compare_signatures(here, there)
    assert [(row.signature, row.side, row.name, row.change, row.description) for row in rows] == [
        ("a", "input", "both", "changed", "dtype and shape"),
        ("a", "input", "dtype", "changed", "dtype"),
        ("a", "input", "new", "added", "added"),
        ("a", "input", "old", "removed", "removed"),
        ("a", "input", "same", "same", "same"),
        ("a", "input", "shape", "changed", "shape"),
        ("a", "output", "y", "same", "same"),
        ("only_here", "input", "x", "added", "added"),
        ("only_there", "output", "y", "removed", "removed"),
    ]
