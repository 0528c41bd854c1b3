from __future__ import annotations

import pytest

from redraw.definition import TensorSpec
from redraw.inspect.answers.record_parts import Misfit, read_values

SPEC = TensorSpec("int64", (None,))


@pytest.mark.parametrize("content", [b"\xff\xff", b"\x08\x63", b"\x08\x09\x22\x02\x00\x00"])
def test_read_values_of_a_damaged_tensor_names_the_input(content: bytes) -> None:
    with pytest.raises(Misfit, match="^input 'x': expected "):
        read_values("input 'x'", SPEC, content)
