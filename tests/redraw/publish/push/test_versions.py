from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraw.errors import InvalidRecord
from redraw.publish.bucket.layout import trained_before
from redraw.publish.push.versions import version_of

_moments = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 12, 31)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=0)
)
_revisions = st.integers(0, 99)


def _version(moment: datetime, revision: int) -> int:
    return version_of(moment.strftime("%Y-%m-%dT%H:%M:%SZ"), revision)


@given(_moments, _revisions, _moments, _revisions)
def test_version_any_two_order_by_training_then_revision(
    moment: datetime, revision: int, other_moment: datetime, other_revision: int
) -> None:
    first, second = _version(moment, revision), _version(other_moment, other_revision)
    assert (first < second) == ((moment, revision) < (other_moment, other_revision))
    assert (first == second) == ((moment, revision) == (other_moment, other_revision))
    assert trained_before(first, second) == (moment < other_moment)


@given(_moments, _revisions)
def test_version_any_fits_an_int64_and_reads_as_its_time(moment: datetime, revision: int) -> None:
    version = _version(moment, revision)
    assert 0 < version < 2**63
    assert len(str(version)) == 16
    read = datetime.strptime(str(version)[:14] + "+0000", "%Y%m%d%H%M%S%z")
    assert read == moment.replace(tzinfo=UTC)
    assert version % 100 == revision


@pytest.mark.parametrize(
    "trained_at",
    ["", "2024-05-06", "2024-05-06T07:08:09", "2024-05-06T07:08:09+02:00", "2024-13-06T07:08:09Z"],
)
def test_version_time_of_another_form_is_refused(trained_at: str) -> None:
    with pytest.raises(InvalidRecord, match="trained_at"):
        version_of(trained_at, 0)
