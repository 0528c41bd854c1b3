from collections.abc import Callable

import numpy as np
import pytest

from redraw.validate.checks.behaviour.row_independence import check_row_independence
from redraw.validate.subject.subject import Subject

SubjectOf = Callable[..., Subject]


def test_examine_rows_that_stand_alone_passes(subject_of: SubjectOf) -> None:
    check = check_row_independence(subject_of("good", "lengths", "padded", "looked_up"))
    assert check.status == "passed", check.found
    assert "'good': each of 5 rows gets the same answer alone and in batches" in check.found


@pytest.mark.parametrize(
    ("behaviour", "finding"),
    [
        ("normalised", "in a batch of 2, output 'y', golden row"),
        # Seen only by a batch that no golden example is as large as.
        ("scaled_by_extreme", "in a batch of 32, output 'y', golden row"),
        ("first_row", "output 'y' has shape [1, 4]: expected one row for each"),
        ("five_rows", "INVALID_ARGUMENT: Incompatible shapes"),
    ],
)
def test_examine_rows_that_depend_on_the_batch_fails(
    behaviour: str, finding: str, subject_of: SubjectOf
) -> None:
    check = check_row_independence(subject_of("good", behaviour))
    assert check.status == "failed"
    assert finding in check.found
    assert f"signature {behaviour!r}" in check.found
    assert "'good'" not in check.found


def test_examine_one_golden_row_still_sees_the_batch(subject_of: SubjectOf) -> None:
    golden = {"scaled_by_extreme": np.float32([[1, 2, 3, 4]])}
    assert check_row_independence(subject_of("scaled_by_extreme", golden=golden)).status == "failed"


def test_examine_declared_sampler_is_left_out_by_name(subject_of: SubjectOf) -> None:
    check = check_row_independence(subject_of("sampled", "good", stateful_ops=("RngReadAndSkip",)))
    assert check.status == "passed"
    assert "'sampled' is not compared, because its answers vary: RngReadAndSkip" in check.found
