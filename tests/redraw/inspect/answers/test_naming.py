"""The names of a reference, and those of the definition."""

from __future__ import annotations

import pytest

from redraw.definition import OutsideReference
from redraw.inspect.answers.naming import UNNAMED, Misfit, Naming
from redraw.records import Signature, TensorSpec


def _naming(*signatures: str, **renamed: dict[str, str]) -> Naming:
    spec = TensorSpec(dtype="float32", shape=(None,))
    signature = Signature(inputs={"x": spec, "z": spec}, outputs={"y": spec})
    return Naming(OutsideReference(uri="x", **renamed), dict.fromkeys(signatures, signature))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ours", "renamed", "theirs", "found"),
    [
        (("good", "other"), {"good": "predict"}, "predict", "good"),
        (("good", "other"), {"good": "predict"}, "other", "other"),
        # What was renamed is not found by its own name as well.
        (("good", "other"), {"good": "predict"}, "good", None),
        (("good", "other"), {"absent": "predict"}, "predict", None),
        (("good",), {}, None, "good"),
        (("good", "serving_default"), {}, None, "serving_default"),
        (("good", "other"), {}, None, None),
    ],
)
def test_signature_of_a_reference_is_the_definition_s_by_the_names_it_was_given(
    ours: tuple[str, ...], renamed: dict[str, str], theirs: str | None, found: str | None
) -> None:
    assert _naming(*ours, signatures=renamed).signature_of(theirs) == found


def test_signature_of_the_reference_is_the_renamed_the_same_or_the_only_one() -> None:
    renamed = _naming("good", signatures={"good": "predict"})
    assert renamed.reference_signature("good", ["predict", "good"]) == "predict"
    assert _naming("good").reference_signature("good", ["predict", "good"]) == "good"
    assert _naming("good").reference_signature("good", ["predict"]) == "predict"
    for naming, theirs in (
        (renamed, ["good"]),
        (_naming("good"), ["predict", "other"]),
        (_naming("good", "other"), ["predict"]),
    ):
        with pytest.raises(Misfit, match="definition's reference: signatures="):
            naming.reference_signature("good", theirs)


def test_inputs_and_outputs_are_found_by_their_new_names_and_the_rest_is_noted() -> None:
    naming = _naming("good", inputs={"x": "a"}, outputs={"y": "b"})
    assert naming.inputs("good", {"a": 1, "z": 2, "more": 3}) == {"x": 1, "z": 2}
    assert naming.outputs("good", {"b": 1, "y": 2}) == {"y": 1}
    assert list(naming.notes) == [
        "the reference's input 'more' is left out, because the export does not have it",
        "the reference's output 'y' is left out, because the export does not have it",
    ]
    assert naming.outputs("good", {"b": 1}) == {"y": 1}
    assert len(naming.notes) == 2
    assert _naming("good").outputs("good", {UNNAMED: 1}) == {"y": 1}
    with pytest.raises(Misfit, match="no input for 'x', only 'x', 'z'"):
        naming.inputs("good", {"x": 1, "z": 2})
    with pytest.raises(Misfit, match="none of the reference's outputs 'c', 'd' is one of 'y'"):
        _naming("good").outputs("good", {"c": 1, "d": 2})


def test_outputs_that_the_reference_lacks_are_noted_once_and_not_without_end() -> None:
    spec = TensorSpec(dtype="float32", shape=(None,))
    names = dict.fromkeys((f"y{n}" for n in range(10)), spec)
    naming = Naming(OutsideReference(uri="x"), {"good": Signature(inputs={"x": spec}, outputs=names)})
    assert naming.outputs("good", {"y0": 0, "y2": 2}) == {"y0": 0, "y2": 2}
    assert [*naming.notes] == [
        f"output 'y{n}' is not compared, because the reference does not have it" for n in (1, *range(3, 10))
    ]
    naming.note("another")
    assert len(naming.notes) == 8
