from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraw.errors import OlderThanLive, VersionNotFound, VersionRejected
from redraw.publish.bucket.layout import trained_before
from redraw.publish.live.rules import apply_change
from redraw.records import LivePointer, PointerChange, PointerChangeKind

EMPTY = LivePointer(model="digits", version=None, previous=None)

_changes = st.lists(
    st.builds(
        PointerChange,
        version=st.integers(1, 6).map(lambda day: 2024010000000000 + day * 10**8),
        changed_at=st.just("2024-05-06T07:08:09Z"),
        kind=st.sampled_from(["live", "rollback", "label", "unlabel", "pin", "unpin"]),
        label=st.just("canary"),
        allow_older=st.sampled_from(["", "a reason"]),
        allow_rejected=st.sampled_from(["", "a reason"]),
    )
)


def _after(changes: list[PointerChange]) -> list[LivePointer]:
    """The pointer after each change; one that is refused leaves it."""
    pointers = [EMPTY]
    for change in changes:
        try:
            pointers.append(apply_change(pointers[-1], change))
        except (OlderThanLive, VersionNotFound, VersionRejected):
            pointers.append(pointers[-1])
    return pointers


@given(_changes)
def test_apply_any_changes_keeps_stable_on_the_live_version(changes: list[PointerChange]) -> None:
    for pointer in _after(changes):
        assert pointer.labels.get("stable") == pointer.version
        assert bool(pointer.labels) == (pointer.version is not None)


@given(_changes)
def test_apply_any_changes_moves_to_older_weights_only_for_a_reason(changes: list[PointerChange]) -> None:
    pointers = _after(changes)
    for before, after in zip(pointers, pointers[1:], strict=False):
        if before.version and after.version and trained_before(after.version, before.version):
            last = after.history[-1]
            assert last.kind == "rollback" or last.allow_older


@given(_changes)
def test_apply_any_changes_lets_in_what_was_left_only_for_a_reason(changes: list[PointerChange]) -> None:
    pointers = _after(changes)
    for before, after in zip(pointers, pointers[1:], strict=False):
        if after.version != before.version and str(after.version) in before.rejected:
            assert after.history[-1].allow_rejected
        assert str(after.version) not in after.rejected


@given(_changes)
def test_apply_the_history_again_gives_the_same_pointer(changes: list[PointerChange]) -> None:
    pointer = _after(changes)[-1]
    assert _after(list(pointer.history))[-1] == pointer


@pytest.mark.parametrize("kind", ["live", "rollback", "label", "pin"])
def test_apply_what_keeps_a_version_that_is_being_pruned_is_refused(kind: PointerChangeKind) -> None:
    with pytest.raises(VersionNotFound, match="version 2 is being pruned"):
        apply_change(_PRUNING, _change(kind))


def test_apply_what_lets_a_version_go_while_it_is_being_pruned_changes_the_pointer() -> None:
    assert apply_change(_PRUNING, _change("unlabel")).labels == {"stable": 1}
    assert apply_change(_PRUNING, _change("unpin")).pinned == {}


def _change(kind: PointerChangeKind) -> PointerChange:
    return PointerChange(version=2, changed_at="2024-05-06T07:08:09Z", kind=kind, label="canary")


_PRUNING = LivePointer(
    model="digits",
    version=1,
    previous=None,
    labels={"stable": 1, "canary": 2},
    pinned={"2": "an audit"},
    pruning=(2,),
)
