"""Measure the export of a Keras model: time, memory and bytes, side by side with its peers.

Each way runs in a process of its own on the same checkpoint, one after the other in every
round, with a warm page cache and the imports left out:

- redraw: the export stage;
- cp: a copy of the SavedModel that it writes;
- keras: build, restore, `model.export`;
- session: graph, `Saver.restore`, SavedModelBuilder.

    python tests/bench/export.py [--gigabytes 0.25 1 4] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Row", "run"]

_WORKER = Path(__file__).with_name("export_worker.py")
_LAYER_BYTES = 4096 * 4096 * 4 + 4096 * 4
_PEERS = ("keras", "session")
_MIB = 1 << 20

Figures = dict[str, dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure.

    Attributes:
        name: What was measured.
        value: The median over the rounds.
        unit: Of the value.
        peer: What it is compared with; empty for nothing.
        ratio: The median over the rounds of this figure divided by the peer's.
    """

    name: str
    value: float
    unit: str
    peer: str = ""
    ratio: float | None = None


def run(gigabytes: tuple[float, ...] = (0.25,), rounds: int = 3) -> list[Row]:
    """Measure models of these sizes.

    Args:
        gigabytes: Of the served weights, 10^9 bytes each; the checkpoint has three times as much.
        rounds: How often every way is measured.

    Returns:
        The rows of every size.
    """
    return [row for size in gigabytes for row in _measure(max(1, round(size * 1e9 / _LAYER_BYTES)), rounds)]


def _measure(layers: int, rounds: int) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="redraw-bench-") as scratch:
        folder = Path(scratch)
        for way in ("checkpoint", "redraw"):  # the first export finds the cache cold: not counted
            _work(way, layers, folder)
        measured = [_one_round(layers, folder) for _ in range(rounds)]
    served = layers * _LAYER_BYTES
    return list(_rows(f"{served / 1e9:.2f} GB", measured, served))


def _one_round(layers: int, folder: Path) -> Figures:
    shutil.rmtree(folder / "redraw")
    figures = {"redraw": _work("redraw", layers, folder)}
    started = time.perf_counter()
    subprocess.run(["cp", "-r", "redraw", "cp"], cwd=folder, check=True)
    figures["cp"] = {"seconds": time.perf_counter() - started}
    shutil.rmtree(folder / "cp")
    for peer in _PEERS:
        figures[peer] = _work(peer, layers, folder)
        shutil.rmtree(folder / peer)
    return figures


def _work(way: str, layers: int, folder: Path) -> dict[str, float]:
    environment = {**os.environ, "DENSE_STACK_LAYERS": str(layers)}
    command = [sys.executable, os.fspath(_WORKER), way, os.fspath(folder)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _rows(size: str, rounds: list[Figures], served: int) -> Iterator[Row]:
    def median(way: str, figure: str) -> float:
        return statistics.median(figures[way][figure] for figures in rounds)

    for way in ("redraw", "cp", *_PEERS):
        yield Row(name=f"export {size}, {way}", value=median(way, "seconds"), unit="s")
    for peer in ("cp", *_PEERS):
        ratios = [figures["redraw"]["seconds"] / figures[peer]["seconds"] for figures in rounds]
        yield Row(
            name=f"export {size}",
            value=median("redraw", "seconds"),
            unit="s",
            peer=peer,
            ratio=statistics.median(ratios),
        )
    for way in ("redraw", *_PEERS):
        peak = median(way, "peak_bytes") / _MIB
        yield Row(name=f"export {size}, {way}, memory above imports", value=peak, unit="MiB")
        written = median(way, "written_bytes")
        name = f"export {size}, {way}, written"
        yield Row(name=name, value=written, unit="bytes", peer="weights", ratio=written / served)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[0.25], help="of served weights")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of every way (%(default)s)")
    asked = parser.parse_args()
    for row in run(tuple(asked.gigabytes), asked.rounds):
        compared = f"{row.ratio:8.3f} x {row.peer}" if row.ratio is not None else ""
        sys.stdout.write(f"{row.name:55} {row.value:16.3f} {row.unit:6}{compared}\n")


if __name__ == "__main__":
    main()
