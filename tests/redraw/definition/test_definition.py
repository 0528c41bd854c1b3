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


def test_check_renames_of_names_and_patterns_passes() -> None:
    class Renamed(Mnist):
        renames = (("a", "b"), (re.compile("c/(.*)"), r"d/\1"))

    Renamed().check()
