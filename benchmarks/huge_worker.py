"""Writes a checkpoint of a huge recommender: `python huge_worker.py CHECKPOINT OUT`.

CHECKPOINT is a trained one with few rows in as many parts; `REDRAW_RECOMMENDER_ROWS` is the number of rows of
OUT. The learned values of each user and item are copied to the row that the larger table's hash selects, so
OUT gives the same answers as CHECKPOINT. The table is written in blocks and is never in memory as a whole.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

_ROOT = Path(__file__).parents[1]
sys.path[0] = os.fspath(_ROOT)

import keras  # noqa: E402 - needs the path above
import numpy as np  # noqa: E402

from redraw.checkpoint.bundle.writer import BundleWriter  # noqa: E402
from redraw.checkpoint.formats.source import open_checkpoint  # noqa: E402

_WIDTH = 16
_BLOCK = 1 << 18  # rows
# The numbers of ids in `redraw.models.recommender`, by the salt of their hash.
_IDS = {1: 300, 2: 200}


def main() -> None:
    """Copy the served variables, and enlarge the table's parts."""
    source = open_checkpoint(sys.argv[1])
    rows = int(os.environ["REDRAW_RECOMMENDER_ROWS"])
    served = [key for key in source.entries if "/_variables/" not in key]  # no optimizer's slots
    parts = sorted((key for key in served if source.entries[key].shape[1:] == (_WIDTH,)), key=_number)
    with BundleWriter(Path(sys.argv[2]), durable=False) as writer:
        for key in set(served) - set(parts):
            writer.add_array(key, source.read_array(key))
        learned_rows = _move_rows(np.concatenate([source.read_array(key) for key in parts]), rows)
        start = 0
        for part, key in enumerate(parts):
            size = rows // len(parts) + (part < rows % len(parts))
            writer.add_bytes(key, "float32", (size, _WIDTH), _blocks(learned_rows, start, start + size), None)
            start += size


def _number(key: str) -> int:
    """The number of the variable, by which the table's parts are ordered."""
    return int(re.findall(r"/(\d+)/", key)[-1])


def _move_rows(learned: np.ndarray, rows: int) -> dict[int, np.ndarray]:
    """Row of the large table to the learned values of the id that is hashed to it."""
    learned_rows: dict[int, np.ndarray] = {}
    for salt, count in _IDS.items():
        ids = np.arange(count)
        old, new = (np.asarray(keras.layers.Hashing(size, salt=salt)(ids)) for size in (len(learned), rows))
        learned_rows.update(zip(new.tolist(), learned[old], strict=True))
    return learned_rows


def _blocks(learned_rows: Mapping[int, np.ndarray], first_row: int, end_row: int) -> Iterator[bytes]:
    """The bytes of some rows: learned values in the rows of ids, and the same noise elsewhere."""
    noise = np.random.default_rng(7).normal(size=(_BLOCK, _WIDTH)).astype(np.float32)
    for start in range(first_row, end_row, _BLOCK):
        block = noise[: end_row - start].copy()
        for row, values in learned_rows.items():
            if start <= row < start + len(block):
                block[row - start] = values
        yield block.tobytes()


if __name__ == "__main__":
    main()
