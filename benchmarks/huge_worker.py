"""Writes a checkpoint of a huge recommender: `python huge_worker.py CHECKPOINT OUT`.

CHECKPOINT is a trained one with few rows in as many parts, `REDRAW_RECOMMENDER_ROWS` says how many OUT shall
have. What training learned of each user and item goes to the row that the larger table hashes it to, so OUT
answers as CHECKPOINT does. The table is written in blocks: it is never in memory.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

_ROOT = Path(__file__).parents[1]
sys.path[0] = os.fspath(_ROOT)

import keras  # noqa: E402 - found only after what stands above
import numpy as np  # noqa: E402

from redraw.checkpoint.bundle.writer import BundleWriter  # noqa: E402
from redraw.checkpoint.formats.source import open_checkpoint  # noqa: E402

_WIDTH = 16
_BLOCK = 1 << 18  # rows
# As `redraw.models.recommender` draws them: how many ids of a kind there are, by the salt of its hash.
_IDS = {1: 300, 2: 200}


def main() -> None:
    """Copy what is served, and stretch the table's parts."""
    source = open_checkpoint(sys.argv[1])
    rows = int(os.environ["REDRAW_RECOMMENDER_ROWS"])
    kept = [key for key in source.entries if "/_variables/" not in key]  # no optimizer's slots
    parts = sorted((key for key in kept if source.entries[key].shape[1:] == (_WIDTH,)), key=_number)
    with BundleWriter(Path(sys.argv[2]), durable=False) as writer:
        for key in set(kept) - set(parts):
            writer.add_array(key, source.read_array(key))
        moved = _moved(np.concatenate([source.read_array(key) for key in parts]), rows)
        start = 0
        for part, key in enumerate(parts):
            size = rows // len(parts) + (part < rows % len(parts))
            writer.add_bytes(key, "float32", (size, _WIDTH), _blocks(moved, start, start + size), None)
            start += size


def _number(key: str) -> int:
    """Which of the optimizer's variables it is: the table's parts are made in turn."""
    return int(re.findall(r"/(\d+)/", key)[-1])


def _moved(learned: np.ndarray, rows: int) -> dict[int, np.ndarray]:
    """Row of the large table to what was learned of who is hashed to it."""
    moved: dict[int, np.ndarray] = {}
    for salt, count in _IDS.items():
        ids = np.arange(count)
        old, new = (np.asarray(keras.layers.Hashing(size, salt=salt)(ids)) for size in (len(learned), rows))
        moved.update(zip(new.tolist(), learned[old], strict=True))
    return moved


def _blocks(moved: Mapping[int, np.ndarray], first: int, end: int) -> Iterator[bytes]:
    """The bytes of some rows: learned ones where they are asked for, and the same noise elsewhere."""
    noise = np.random.default_rng(7).normal(size=(_BLOCK, _WIDTH)).astype(np.float32)
    for start in range(first, end, _BLOCK):
        block = noise[: end - start].copy()
        for row, values in moved.items():
            if start <= row < start + len(block):
                block[row - start] = values
        yield block.tobytes()


if __name__ == "__main__":
    main()
