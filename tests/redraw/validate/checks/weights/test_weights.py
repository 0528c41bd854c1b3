"""Weights are checked against the checkpoint bit by bit, in one reading of the files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.checkpoint.formats.source import open_checkpoint
from redraw.records import Check
from redraw.storage.files import digest_tree
from redraw.validate.outcome import CannotRun
from redraw.validate.subject.export_bytes import Reading, read_export
from redraw.validate.subject.export_files import list_source_bytes
from redraw.validate.subject.subject import Subject

RunCheck = Callable[[str, Subject], Check]

# Larger than a block of the reading, so that tensors end within and across blocks.
LARGE = np.arange(300_000, dtype=np.float32)


def change_value(hand_made, key: str, index: int, value: float) -> None:
    hand_made.tensors[key] = hand_made.tensors[key].copy()
    hand_made.tensors[key][index] = value


def test_weights_source_one_bit_is_named(hand_made, run_check: RunCheck) -> None:
    hand_made.tensors["w"] = hand_made.checkpoint["w"] = LARGE
    change_value(hand_made, "w", 200_000, np.nextafter(np.float32(200_000), np.float32(0)))
    check = run_check("weights-source", hand_made.subject())
    assert check.status == "failed"
    assert "variable 'w' differs from the checkpoint's 'w': 2 of 1200000 bytes differ" in check.found
    assert "the first at 800000" in check.found


def test_weights_source_swapped_weights_are_named(hand_made, run_check: RunCheck) -> None:
    hand_made.tensors = {"w": hand_made.tensors["b"], "b": hand_made.tensors["w"]}
    found = run_check("weights-source", hand_made.subject()).found
    assert "variable 'b' differs" in found
    assert "variable 'w' differs" in found


def test_weights_source_swapped_by_the_graph_are_named(hand_made, run_check: RunCheck) -> None:
    for node in hand_made.meta.graph_def.node:
        if node.name == "save/names":
            node.attr["value"].tensor.string_val[:] = [b"b", b"w"]
    found = run_check("weights-source", hand_made.subject()).found
    assert "variable 'b': its value 'b' is restored into 'w'" in found


@pytest.mark.parametrize("value", [np.arange(4, dtype=np.float16), np.arange(5, dtype=np.float32)])
def test_weights_source_other_form_is_named(value: np.ndarray, hand_made, run_check: RunCheck) -> None:
    hand_made.tensors["w"] = value
    found = run_check("weights-source", hand_made.subject()).found
    assert f"variable 'w' is {value.dtype} [{len(value)}], the checkpoint's 'w' float32 [4]" in found


def test_weights_source_tensor_without_a_row_is_named(hand_made, run_check: RunCheck) -> None:
    hand_made.tensors["stray"] = np.zeros(3, np.float32)
    hand_made.tensors["constants/0/.ATTRIBUTES/VARIABLE_VALUE"] = np.zeros(3, np.float32)
    found = run_check("weights-source", hand_made.subject()).found
    assert found == "tensor 'stray' is not in the restore ledger"


def test_weights_source_missing_checkpoint_tensor_is_named(hand_made, run_check: RunCheck) -> None:
    del hand_made.checkpoint["w"]
    assert "has no 'w'" in run_check("weights-source", hand_made.subject()).found


def test_weights_source_damaged_checkpoint_is_named(hand_made, run_check: RunCheck) -> None:
    exported = hand_made.write()
    (data,) = (hand_made.root / "checkpoint").glob("*.data-*")
    content = bytearray(data.read_bytes())
    content[-1] ^= 1
    data.write_bytes(content)
    found = run_check("weights-source", hand_made.as_written(exported)).found
    assert "differs from the checkpoint's 'w'" in found


def test_weights_source_without_checkpoint_is_not_run(hand_made, run_check: RunCheck) -> None:
    exported = hand_made.write()
    for path in (hand_made.root / "checkpoint").iterdir():
        path.unlink()
    subject = hand_made.as_written(exported)
    assert run_check("files-whole", subject).status == "passed"
    with pytest.raises(CannotRun, match="the checkpoint cannot be read"):
        run_check("weights-source", subject)


@pytest.mark.parametrize("text", ["{", "[]", '{"served": [{"variable": "w"}], "non_finite": []}'])
def test_weights_source_without_ledger_is_not_run(text: str, hand_made, run_check: RunCheck) -> None:
    exported = hand_made.write()
    (hand_made.root / "model.ledger.json").write_text(text)
    with pytest.raises(CannotRun, match="not a restore ledger that this version"):
        run_check("weights-source", hand_made.as_written(exported))


AVERAGE = "w/ExponentialMovingAverage"


def average(hand_made) -> None:
    """The checkpoint has an average of w and none of b; both are served as averages."""
    hand_made.weights = "average"
    hand_made.checkpoint[AVERAGE] = hand_made.tensors["w"] = np.full(4, 7.0, np.float32)
    hand_made.served = [("b", "b", "b"), ("w", AVERAGE, "w")]


def test_weights_source_averages_pass(hand_made, run_check: RunCheck) -> None:
    average(hand_made)
    check = run_check("weights-source", hand_made.subject())
    assert check.status == "passed", check.found
    assert "1 moving averages, 1 weights without an average" in check.found


def test_weights_source_raw_claimed_as_average_is_named(hand_made, run_check: RunCheck) -> None:
    average(hand_made)
    hand_made.served[1] = ("w", "w", "w")
    hand_made.tensors["w"] = hand_made.checkpoint["w"]
    found = run_check("weights-source", hand_made.subject()).found
    assert "no variable comes from a moving average" in found
    assert "variable 'w': the record says average, but the value comes from the raw weight 'w'" in found


def test_weights_source_average_claimed_as_raw_is_named(hand_made, run_check: RunCheck) -> None:
    average(hand_made)
    hand_made.weights = "raw"
    found = run_check("weights-source", hand_made.subject()).found
    assert (
        found == f"variable 'w': the record says raw, but the value comes from the moving average {AVERAGE!r}"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_finite_weights_other_value_is_named(value: float, hand_made, run_check: RunCheck) -> None:
    change_value(hand_made, "w", 2, value)
    check = run_check("finite-weights", hand_made.subject())
    assert check.found == "1 elements of 'w' are NaN or infinite"


def test_finite_weights_noted_in_the_ledger_pass_and_are_shown(hand_made, run_check: RunCheck) -> None:
    change_value(hand_made, "w", 2, np.nan)
    hand_made.non_finite = {"w": 1}
    check = run_check("finite-weights", hand_made.subject())
    assert check.status == "passed"
    assert check.found == "NaN or infinity, as allowed at export: 1 in 'w'"
    change_value(hand_made, "w", 3, np.nan)
    assert run_check("finite-weights", hand_made.subject()).status == "failed"


def test_single_copy_unread_variable_is_named(hand_made, run_check: RunCheck) -> None:
    hand_made.answer_with("scaled:0")
    found = run_check("single-copy", hand_made.subject()).found
    assert found == "variable 'b' is stored as 'b', and no signature reads it"


def test_single_copy_unrestored_tensor_is_named(hand_made, run_check: RunCheck) -> None:
    hand_made.tensors["w_again"] = hand_made.tensors["w"]
    found = run_check("single-copy", hand_made.subject()).found
    assert found == "tensor 'w_again' is restored into no variable"


def test_single_copy_variable_with_two_tensors_is_named(hand_made, run_check: RunCheck) -> None:
    for node in hand_made.meta.graph_def.node:
        if node.name == "save/Assign_1":
            node.input[0] = "w"
    found = run_check("single-copy", hand_made.subject()).found
    assert "variable 'w' is stored twice, as 'b' and 'w'" in found


def test_single_copy_source_with_two_variables_is_named(hand_made, run_check: RunCheck) -> None:
    hand_made.served = [("b", "w", "b"), ("w", "w", "w")]
    found = run_check("single-copy", hand_made.subject()).found
    assert "the checkpoint's 'w' is stored twice, as 'b' and 'w'" in found


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An export's folder and its checkpoint's prefix: floats, strings, a partitioned tensor, two shards."""
    root = tmp_path_factory.mktemp("pair")
    words = np.array([b"", b"a\0b", b"\xff" * 900], object)
    for prefix in (root / "model" / "variables" / "variables", root / "weights"):
        prefix.parent.mkdir(parents=True, exist_ok=True)
        with BundleWriter(prefix, durable=False) as writer:
            writer.add_array("floats", LARGE)
            writer.add_array("words", words)
            writer.add_array("half", np.arange(7, dtype=np.float16))
    (root / "model" / "saved_model.pb").write_bytes(b"graph")
    return root / "model", root / "weights"


def compare(folder: Path, checkpoint: Path) -> Reading:
    bundle, source = TensorBundle(folder / "variables" / "variables"), open_checkpoint(checkpoint)
    return read_export(
        folder, bundle, list_source_bytes({key: key for key in bundle.entries}, bundle, source)
    )


def test_read_export_same_bytes_digest_and_compare(pair: tuple[Path, Path]) -> None:
    reading = compare(*pair)
    assert (reading.digest, reading.size_bytes) == digest_tree(pair[0])
    assert set(reading.compared) == {"floats", "words", "half"}
    assert not reading.unlike
    assert not reading.damaged


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_read_export_any_flipped_bit_is_found_on_both_sides(
    pair: tuple[Path, Path], data: st.DataObject
) -> None:
    (file,) = (pair[0] / "variables").glob("*.data-*")
    good = file.read_bytes()
    at, bit = data.draw(st.integers(0, len(good) - 1)), data.draw(st.integers(0, 7))
    file.write_bytes(good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :])
    try:
        reading = compare(*pair)
        assert reading.digest == digest_tree(pair[0])[0]
    finally:
        file.write_bytes(good)
    assert len(reading.damaged) == 1
    assert reading.damaged.keys() == reading.unlike.keys()


def test_read_export_partitioned_tensor_is_compared_by_its_parts(tmp_path: Path) -> None:
    whole = np.arange(24, dtype=np.int32).reshape(6, 4)
    for prefix, change in ((tmp_path / "m/variables/variables", 0), (tmp_path / "weights", 1)):
        prefix.parent.mkdir(parents=True, exist_ok=True)
        with BundleWriter(prefix, durable=False) as writer:
            for start in (0, 2):
                part = whole[start : start + 2 + start].copy()
                part[-1, -1] += change * start
                writer.add_slice("t", whole.shape, (start, 0), part)
    reading = compare(tmp_path / "m", tmp_path / "weights")
    assert reading.compared["t"] == whole.nbytes
    assert reading.unlike == {"t": "1 of 64 bytes differ, the first at 60"}


def test_read_export_whole_tensor_of_a_partitioned_one_is_compared(tmp_path: Path) -> None:
    whole = np.arange(24, dtype=np.int32).reshape(6, 4)
    prefix = tmp_path / "m/variables/variables"
    prefix.parent.mkdir(parents=True)
    with BundleWriter(prefix, durable=False) as writer:
        writer.add_array("t", whole)
    with BundleWriter(tmp_path / "weights", durable=False) as writer:
        writer.add_slice("t", whole.shape, (0, 0), whole[:2])
        writer.add_slice("t", whole.shape, (2, 0), whole[2:] + (whole[2:] == 9))
    reading = compare(tmp_path / "m", tmp_path / "weights")
    assert reading.unlike == {"t": "1 of 96 bytes differ, the first at 36"}
