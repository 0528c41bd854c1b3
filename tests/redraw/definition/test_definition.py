from __future__ import annotations

import re
from typing import Any

import pytest

from redraw.errors import InvalidDefinition
from redraw.models.mnist import Mnist


@pytest.mark.parametrize(
    "renames", [("a", "b"), (("a",),), (("a", 1),), ((1, "b"),), {"a": "b"}, [("a", "b")], (("a", "b", "c"),)]
)
def test_check_renames_that_are_no_pairs_is_refused(renames: Any) -> None:
    class Renamed(Mnist):
        pass

    Renamed.renames = renames
    with pytest.raises(InvalidDefinition, match="renames: expected pairs"):
        Renamed().check()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("data_sets", "mnist", r"data_sets: expected tuple\[str, \.\.\.\], got 'mnist'"),
        ("data_sets", (1,), "data_sets: expected"),
        ("license", None, "license: expected str, got None"),
        ("intended_use", ["digits"], "intended_use: expected str"),
        ("limits", 5, "limits: expected str, got 5"),
        ("licence", "MIT", "licence: expected 'Apache-2.0' as in license, got 'MIT'"),
    ],
)
def test_check_card_texts_of_another_type_are_refused_by_name(name: str, value: Any, message: str) -> None:
    described = type("Described", (Mnist,), {"license": "Apache-2.0", name: value})
    with pytest.raises(InvalidDefinition, match=message):
        described().check()


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_check_change_tolerance_that_is_none_is_refused(value: float) -> None:
    tolerant = type("Tolerant", (Mnist,), {"change_tolerance": value})
    with pytest.raises(InvalidDefinition, match="change_tolerance: expected a number from 0 on, got"):
        tolerant().check()


def test_check_renames_of_names_and_patterns_passes() -> None:
    class Renamed(Mnist):
        renames = (("a", "b"), (re.compile("c/(.*)"), r"d/\1"))

    Renamed().check()
