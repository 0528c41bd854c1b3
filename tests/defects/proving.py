"""Where defects and good exports are put to the proof."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from redraw.records import TrainingRun
from tests.defects.bases import Bases
from tests.defects.examining import Examiner, Finding, leading_to
from tests.defects.good_exports import GoodExport
from tests.defects.planting import Defect
from tests.paths import TESTS

__all__ = ["ProvingGround", "open_proving_ground"]


@dataclass(frozen=True)
class ProvingGround:
    """The good exports, and what examines them and all that is made of them."""

    bases: Bases
    examiner: Examiner

    def plant(self, defect: Defect) -> Finding:
        """Plant a defect, and run the check that is meant for it, with all that this one needs."""
        with _as_training_is_run():
            return self.examiner.examine(lambda: defect.plant(self.bases), leading_to(defect.caught_by))

    def examine(self, good: GoodExport) -> Finding:
        """Make a good export, and run every check."""
        with _as_training_is_run():
            return self.examiner.examine(lambda: good.make(self.bases))


@contextmanager
def open_proving_ground(
    folder: Path, run: Callable[[str], TrainingRun] | None = None
) -> Iterator[ProvingGround]:
    """Open one in a folder.

    Args:
        folder: For all that is made.
        run: Finds a finished training run by model; by default each is trained here.

    Yields:
        The proving ground; the definitions that other tests use can be imported within.
    """
    vocabulary = folder / "vocabulary.txt"
    vocabulary.write_text("red\ngreen\nblue\ngrey\n")
    with pytest.MonkeyPatch.context() as patch, Examiner(folder / "scratch") as examiner:
        patch.syspath_prepend(str(TESTS))
        patch.setenv("SAMPLE_VOCABULARY", str(vocabulary))
        yield ProvingGround(Bases(folder, run), examiner)


@contextmanager
def _as_training_is_run() -> Iterator[None]:
    """Warnings are no errors: Keras has some of NumPy 2, of old formats, of weights without a gradient."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
