from collections.abc import Callable, Iterator

import pytest

from redraw.records import TrainingRun
from redraw.validate.plan import EVERY_CHECK, PLAN
from tests.defects.corpus import DEFECTS
from tests.defects.good_exports import GOOD_EXPORTS, GoodExport
from tests.defects.planting import Defect
from tests.defects.proving import ProvingGround, open_proving_ground

FEWEST_DEFECTS, FEWEST_GOOD_EXPORTS = 150, 80


@pytest.fixture(scope="module")
def ground(
    trained_run: Callable[[str], TrainingRun], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProvingGround]:
    """One proving ground for all: TensorFlow is imported, and the serving process started, once."""
    with open_proving_ground(tmp_path_factory.mktemp("proving"), trained_run) as opened:
        yield opened


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_validate_planted_defect_fails_the_check_meant_for_it(defect: Defect, ground: ProvingGround) -> None:
    finding = ground.plant(defect)
    assert not finding.error
    assert finding.statuses[defect.caught_by] == "failed", finding
    assert finding.found[defect.caught_by]


@pytest.mark.parametrize("good", GOOD_EXPORTS, ids=lambda good: good.name)
def test_validate_good_export_passes_without_a_finding(good: GoodExport, ground: ProvingGround) -> None:
    finding = ground.examine(good)
    assert not finding.error
    assert not finding.found
    assert set(finding.statuses) in ({planned.name for planned in PLAN}, set(EVERY_CHECK))


def test_corpus_names_are_unique_and_many() -> None:
    for named, fewest in ((DEFECTS, FEWEST_DEFECTS), (GOOD_EXPORTS, FEWEST_GOOD_EXPORTS)):
        assert len({one.name for one in named}) == len(named) >= fewest


def test_corpus_has_a_defect_for_every_check() -> None:
    assert {defect.caught_by for defect in DEFECTS} == set(EVERY_CHECK)


def test_validate_wrong_constant_passes_every_check_but_that_of_the_reference(ground: ProvingGround) -> None:
    """Which is what the check is for: all others compare the definition with itself."""
    (defect,) = (one for one in DEFECTS if one.name == "pixels-scaled-by-another-constant")
    finding = ground.examine(GoodExport(name=defect.name, make=defect.plant))
    assert set(finding.found) == {"reference-answers"}
    assert "'probabilities'" in finding.found["reference-answers"]
