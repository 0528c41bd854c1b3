from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from redraw.errors import VersionNotFound
from redraw.publish.version_rows import row_of
from redraw.records import LivePointer
from redraw_airflow.web.views.version_choice import offer_versions, version_labels
from tests.redraw_airflow.web.publications import pointer_record, release_record, version_of


def browser(count: int) -> Any:
    """Of a bucket with so many versions, the newest first."""
    versions = [version_of(number) for number in reversed(range(count))]
    return SimpleNamespace(numbers=lambda model: versions, storage=SimpleNamespace(uri="gs://b"))


# Live is 4, before it was 3, the canary is 5, and 0 is pinned.
POINTER = pointer_record("mnist", 4)
NO_POINTER = replace(POINTER, version=None, previous=None, labels={}, pinned={})


def test_offer_has_every_other_version_with_its_names() -> None:
    choice = offer_versions(browser(7), POINTER, release_record("mnist", 6), None)
    assert choice.offered == (
        (version_of(5), "canary"),
        (version_of(4), "live"),
        (version_of(3), "previous"),
        (version_of(2), ""),
        (version_of(1), ""),
        (version_of(0), "pinned"),
    )
    assert choice.more == 0


@pytest.mark.parametrize(
    ("number", "pointer", "other", "chosen"),
    [
        (6, POINTER, None, 4),
        (4, POINTER, None, 3),
        (6, NO_POINTER, None, 5),
        (6, POINTER, 1, 1),
    ],
)
def test_offer_chooses_what_was_asked_for_or_is_live(
    number: int, pointer: LivePointer, other: int | None, chosen: int
) -> None:
    asked = None if other is None else version_of(other)
    choice = offer_versions(browser(7), pointer, release_record("mnist", number), asked)
    assert choice.other == version_of(chosen)


def test_offer_of_a_single_version_has_none_to_choose() -> None:
    choice = offer_versions(browser(1), NO_POINTER, release_record("mnist", 0), None)
    assert (choice.offered, choice.other, choice.more) == ((), None, 0)


def test_offer_of_an_unknown_version_is_not_found() -> None:
    with pytest.raises(VersionNotFound, match="expected a published version to compare with"):
        offer_versions(browser(7), POINTER, release_record("mnist", 6), 5)


def test_offer_of_many_versions_ends_at_500_and_has_the_chosen_one() -> None:
    choice = offer_versions(browser(510), POINTER, release_record("mnist", 509), None)
    assert len(choice.offered) == 501
    assert choice.offered[-1] == (version_of(4), "live")
    assert choice.more == 8


def test_labels_say_what_the_pointer_and_the_record_make_of_a_version() -> None:
    pointer = replace(POINTER, pruning=(version_of(1),))
    labels = {
        number: [name for name, _ in version_labels(pointer, row_of(release_record("mnist", number)))]
        for number in range(7)
    }
    assert labels == {
        0: ["pinned"],
        1: ["pruning"],
        2: [],
        3: ["previous"],
        4: ["live"],
        5: ["canary"],
        6: [],
    }
