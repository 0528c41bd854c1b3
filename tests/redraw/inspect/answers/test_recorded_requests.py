"""Recorded requests with their answers, read one by one and put together again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from redraw.definition import OutsideReference, Signature, TensorSpec
from redraw.inspect.answers.naming import Exchange, Naming
from redraw.inspect.answers.record_parts import Problems
from redraw.inspect.answers.recorded_requests import merge_exchanges, read_exchanges

_NUMBER = TensorSpec("float32", (None,))
SIGNATURES = {
    "sum": Signature(inputs={"x": TensorSpec("float32", (None, 2)), "z": _NUMBER}, outputs={"y": _NUMBER}),
    "length": Signature(inputs={"text": TensorSpec("string", (None,))}, outputs={"y": _NUMBER}),
}


def read(path: Path, records: list[Any]) -> tuple[list[Exchange], list[str], list[str]]:
    path.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in records))
    naming, problems = Naming(OutsideReference(), SIGNATURES), Problems()
    return list(read_exchanges(path, naming, problems)), problems.listed(), list(naming.notes)


def sums(x: Any, z: Any, y: Any) -> dict[str, Any]:
    return {"signature_name": "sum", "inputs": {"x": x, "z": z}, "outputs": {"y": y}}


def test_read_exchanges_gives_each_row_a_name_and_goes_on_after_others(tmp_path: Path) -> None:
    others = [{"signature_name": f"old-{n % 17:02}", "inputs": [1], "outputs": [1]} for n in range(18)]
    records = [
        *others,
        sums([[1, 2]], [3], [6]),
        sums([[1, 2]], [3, 4], [6]),
        sums([[1, 2]], [3], [6, 7]),
        sums(1, 3, 6),
        {"signature_name": "sum", "inputs": {"x": [[1, 2]], "z": [3]}},
        {"signature_name": 7, "inputs": [1], "outputs": [1]},
        sums([[1, 2], [3, 4]], [5, 6], [8, 13]),
        {"signature_name": "length", "instances": [{"text": "ab"}], "predictions": [2.5]},
    ]
    found, problems, notes = read(tmp_path / "log.jsonl", records)
    assert [exchange.rows for exchange in found] == [
        ("line 19",),
        ("line 25 row 0", "line 25 row 1"),
        ("line 26",),
    ]
    assert [exchange.signature for exchange in found] == ["sum", "sum", "length"]
    assert found[1].inputs["x"].tolist() == [[1, 2], [3, 4]]
    assert (found[1].inputs["x"].dtype, found[1].answers["y"].dtype) == (np.float32, np.int64)
    assert found[2].answers["y"].tolist() == [2.5]
    assert problems == [
        "line 20: input 'z': expected as many rows as the first input, [1], got shape [2]",
        "line 21: output 'y': expected as many rows as the first input, [1], got shape [2]",
        "line 22: input 'x': expected as many rows as the first input, [], got shape []",
        "line 23: expected outputs or predictions, got inputs, signature_name",
        "line 24: signature_name: expected a text, got 7",
    ]
    assert notes == [  # not without end
        f"{2 if n == 0 else 1} records of signature 'old-{n:02}' are left out, because the definition"
        " lacks it"
        for n in range(8)
    ]


def test_read_exchanges_of_a_file_without_any_says_so(tmp_path: Path) -> None:
    said = ["log.jsonl: expected requests with their answers, got an empty file"]
    assert read(tmp_path / "log.jsonl", []) == ([], said, [])
    assert [len(part) for part in read(tmp_path / "log.jsonl", ["{"])] == [0, 1, 0]
    (tmp_path / "log.gz").write_bytes(b"\x1f\x8b")
    problems = Problems()
    assert not [*read_exchanges(tmp_path / "log.gz", Naming(OutsideReference(), SIGNATURES), problems)]
    (text,) = problems.listed()
    assert text.startswith("line 1: expected JSON lines or TFRecords, got a file that is compressed")


def exchange(row: int, width: int = 1, signature: str = "sum") -> Exchange:
    x = np.full((1, width), row, np.float32)
    return Exchange(rows=(f"line {row}",), signature=signature, inputs={"x": x}, answers={"y": x[:, 0]})


def test_merge_exchanges_puts_rows_of_one_form_together_in_their_order() -> None:
    merged = list(merge_exchanges(iter([exchange(0), exchange(1, 2), exchange(2), exchange(3, 1, "length")])))
    assert [one.rows for one in merged] == [("line 0", "line 2"), ("line 1",), ("line 3",)]
    assert merged[0].inputs["x"].tolist() == [[0], [2]]
    assert merged[0].answers["y"].tolist() == [0, 2]


def test_merge_exchanges_keeps_rows_bytes_and_forms_bounded() -> None:
    assert [len(one.rows) for one in merge_exchanges(map(exchange, range(300)))] == [256, 44]
    large = (exchange(row, 3 << 20) for row in range(4))  # 12 MiB each, of 32
    assert [len(one.rows) for one in merge_exchanges(large)] == [3, 1]
    forms = merge_exchanges(exchange(width, width) for width in range(1, 18))
    assert next(forms).rows == ("line 1",)  # before the file has ended: 16 forms wait
    assert len([*forms]) == 16
