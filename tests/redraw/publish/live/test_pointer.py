"""The pointer in numbered objects, and its copy `live.json`, which a stopped process leaves behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from redraw.errors import ObjectConflict
from redraw.names import ModelName
from redraw.publish.bucket.layout import encode_record, live_name, numbered_live_name
from redraw.publish.live.pointer import change_pointer, read_pointer
from redraw.records import LivePointer
from redraw.storage.opening import Storage, open_storage

MODEL = ModelName("digits")


def number(value: int) -> LivePointer:
    return LivePointer(model=MODEL, version=2026010100000000 + value, previous=None, number=value)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """Seven changes were made."""
    storage = open_storage(str(tmp_path))
    for value in range(1, 8):
        storage.create(numbered_live_name(MODEL, value), encode_record(number(value)))
    return storage


# Behind by none, by less and by more than what is read one by one; and lost.
@pytest.mark.parametrize("copied", [7, 6, 4, 3, 1, 0, None])
def test_change_of_nothing_brings_the_copy_up_to_the_pointer(storage: Storage, copied: int | None) -> None:
    if copied is not None:
        storage.create(live_name(MODEL), encode_record(number(copied)))
    before = storage.stat(live_name(MODEL))

    assert read_pointer(storage, MODEL) == number(7)
    assert change_pointer(storage, MODEL, lambda pointer: pointer) == number(7)

    assert storage.read(live_name(MODEL)) == encode_record(number(7))
    if copied == 7:
        assert storage.stat(live_name(MODEL)) == before


@pytest.mark.parametrize("copied", [7, 3, None])
def test_change_is_the_next_number_and_copied(storage: Storage, copied: int | None) -> None:
    if copied is not None:
        storage.create(live_name(MODEL), encode_record(number(copied)))

    changed = change_pointer(storage, MODEL, lambda pointer: replace(pointer, version=1))

    assert changed == replace(number(8), version=1)
    assert storage.read(numbered_live_name(MODEL, 8)) == storage.read(live_name(MODEL))
    assert read_pointer(storage, MODEL) == changed


def test_read_pointer_of_another_number_than_its_name_is_refused(storage: Storage) -> None:
    storage.create(numbered_live_name(MODEL, 8), encode_record(number(9)))
    with pytest.raises(ObjectConflict, match="digits after change 8, got the pointer of .* 9"):
        read_pointer(storage, MODEL)
