"""Writes a checkpoint of a huge recommender: `python huge_worker.py CHECKPOINT OUT`.

CHECKPOINT is a trained one with few rows, `REDRAW_RECOMMENDER_ROWS` says how many OUT shall have. What
training learned of each user and item goes to the row that the larger table hashes it to, so OUT answers
as CHECKPOINT does. The table is written in blocks: it is never in memory.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).parents[2]
sys.path[0] = os.fspath(_ROOT)

import keras  # noqa: E402 - found only after what stands above
import numpy as np  # noqa: E402

from tasks.checkpoint.bundle_writer import BundleWriter  # noqa: E402
from tasks.checkpoint.source import open_checkpoint  # noqa: E402

_BLOCK = 1 << 20  # rows
# As `tasks.models.recommender` draws them: how many ids of a kind there are, by the salt of its hash.
_IDS = {1: 300, 2: 200}


def main() -> None:
    """Copy what is served, and stretch the table."""
    source = open_checkpoint(sys.argv[1])
    rows = int(os.environ["REDRAW_RECOMMENDER_ROWS"])
    served = {key: entry for key, entry in source.entries.items() if "/_variables/" not in key}  # no slots
    table = next(key for key, entry in served.items() if len(entry.shape) == 2 and entry.shape[0] >= 10_000)
    with BundleWriter(Path(sys.argv[2]), durable=False) as writer:
        for key in served:
            if key == table:
                learned = source.read_array(key)
                writer.add_bytes(key, "float32", (rows, learned.shape[1]), _stretched(learned, rows), None)
            else:
                writer.add_array(key, source.read_array(key))


def _stretched(learned: np.ndarray, rows: int) -> Iterator[bytes]:
    """The table's bytes: learned rows where they are asked for, and the same noise elsewhere."""
    few, width = learned.shape
    moved: dict[int, np.ndarray] = {}
    for salt, count in _IDS.items():
        ids = np.arange(count)
        old, new = (np.asarray(keras.layers.Hashing(size, salt=salt)(ids)) for size in (few, rows))
        moved.update(zip(new.tolist(), learned[old], strict=True))
    noise = np.random.default_rng(7).normal(size=(_BLOCK, width)).astype(np.float32)
    for start in range(0, rows, _BLOCK):
        block = noise[: rows - start].copy()
        for row, values in moved.items():
            if start <= row < start + len(block):
                block[row - start] = values
        yield block.tobytes()


if __name__ == "__main__":
    main()
