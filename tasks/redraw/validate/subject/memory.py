"""Whether there is room for the weights that a check needs: beyond it the kernel ends the process."""

from __future__ import annotations

from pathlib import Path

from redraw.validate.outcome import CannotRun
from redraw.validate.subject.free_memory import available_memory

__all__ = ["demand_memory", "weight_bytes"]

# Measured of 0.6 and 2.6 GB: loaded or restored they take 1.055 times their bytes.
_PER_BYTE = 1.06
# What it takes besides: TensorFlow in the process of the checks 0.7 GB, the C++ runtime in the other 0.4 GB.
_BESIDE = 1_200_000_000


def demand_memory(what: str, weights: int) -> None:
    """Demand room for weights, and for what has them.

    Args:
        what: What they are needed for.
        weights: Their bytes, as often as they are held at once.

    Raises:
        CannotRun: The machine, or the container, has less left.
    """
    available = available_memory()
    needed = weights * _PER_BYTE + _BESIDE
    if available is not None and available < needed:
        raise CannotRun(
            f"{what} takes {needed / 1e9:.1f} GB of memory, and {available / 1e9:.1f} GB are left",
            "Validate where there is more, or waive the check by its name: --waive CHECK=REASON.",
        )


def weight_bytes(folder: Path) -> int:
    """The bytes of a SavedModel's weights."""
    return sum(path.stat().st_size for path in (folder / "variables").glob("variables.data-*"))
