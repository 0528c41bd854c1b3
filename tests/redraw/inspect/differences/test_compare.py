from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.errors import ObjectConflict, VersionNotFound
from redraw.inspect.differences.compare import compare_weights
from redraw.publish.prune.prune import prune_versions
from redraw.publish.push.push import push_model
from redraw.records import ExportedModel, ValidationReport
from redraw.records.results import UnlikeVariable, VariableDifference, WeightDifferences
from redraw.requests import DifferencesRequest, PruneRequest, PushRequest
from redraw.storage.opening import open_storage
from tests.publishing.exports import describe_export

pytestmark = pytest.mark.usefixtures("gcs_server")

Publish = Callable[[Callable[[BundleWriter], object]], int]


@pytest.fixture
def publish(bucket: str, tmp_path: Path) -> Publish:
    """Publishes variables: `publish(write)` gives the version; each is a day newer than the one before."""
    count = 0

    def publish(write: Callable[[BundleWriter], object]) -> int:
        nonlocal count
        count += 1
        folder = tmp_path / f"export-{count}"
        (folder / "variables").mkdir(parents=True)
        with BundleWriter(folder / "variables" / "variables", 64 << 20, durable=False) as writer:
            write(writer)
        (folder / "saved_model.pb").write_bytes(b"the graph")
        export = describe_export(folder, f"2024-05-{count:02d}T00:00:00Z")
        request = PushRequest(
            model="digits", saved_model=str(export.folder), report=f"{folder}.report.json", bucket=bucket
        )
        return push_model(request).version

    return publish


def _arrays(values: Mapping[str, np.ndarray]) -> Callable[[BundleWriter], object]:
    return lambda writer: [writer.add_array(key, value) for key, value in values.items()]


def _compare(bucket: str, version: int, other: int, model: str = "digits") -> WeightDifferences:
    found = compare_weights(DifferencesRequest(model=model, bucket=bucket, version=version, other=other))
    # Whatever was found can be printed, and read again.
    text = json.dumps(found.to_json(), allow_nan=False)
    assert WeightDifferences.from_text(text, "differences") == found
    return found


def _rows(found: WeightDifferences) -> dict[str, VariableDifference]:
    return {row.key: row for row in found.variables}


def test_compare_variables_of_many_dtypes_are_as_numpy_says(bucket: str, publish: Publish) -> None:
    random = np.random.default_rng(3)
    kinds = {"kernel": np.float32, "half": ml_dtypes.bfloat16, "steps": np.int64, "table": np.int8}
    one, two = (
        {key: (random.normal(size=(40, 5)) * 20).astype(kind) for key, kind in kinds.items()}
        for _ in range(2)
    )
    two["half"] = one["half"]
    found = _compare(bucket, publish(_arrays(one)), publish(_arrays(two)))
    rows = _rows(found)
    assert set(rows) == set(kinds)
    for key in ("kernel", "steps", "table"):
        change = one[key].astype(float) - two[key].astype(float)
        expected = np.linalg.norm(change) / np.linalg.norm(two[key].astype(float))
        assert rows[key].relative_change == pytest.approx(expected, rel=1e-12)
        assert rows[key].largest_change == np.abs(change).max()
        assert (rows[key].shape, rows[key].equal) == ((40, 5), False)
    assert (rows["half"].dtype, rows["half"].equal, rows["half"].relative_change) == ("bfloat16", True, 0.0)
    changes = [row.relative_change or 0.0 for row in found.variables]
    assert changes == sorted(changes, reverse=True)


def test_compare_variables_that_are_not_in_both_or_changed_their_form_says_so(
    bucket: str, publish: Publish
) -> None:
    same = {"same": np.ones(2, np.float32), "words": np.array([b"a", b"bc"], object)}
    one = {**same, "wider": np.ones((3, 2), np.float32), "typed": np.ones(2, np.int32), "old": np.ones(1)}
    two = {**same, "wider": np.ones((3, 4), np.float32), "typed": np.ones(2, np.int64), "new": np.ones(1)}
    two["words"] = np.array([b"a", b"bcd"], object)
    found = _compare(bucket, publish(_arrays(one)), publish(_arrays(two)))
    assert [(row.key, row.equal, row.relative_change) for row in found.variables] == [
        ("words", False, None),
        ("same", True, 0.0),
    ]
    assert sorted(found.unlike, key=lambda row: row.key) == [
        UnlikeVariable(
            key="typed", why="dtype", dtype="int32", shape=(2,), other_dtype="int64", other_shape=(2,)
        ),
        UnlikeVariable(
            key="wider", why="shape", dtype="float32", shape=(3, 2), other_dtype="float32", other_shape=(3, 4)
        ),
    ]
    assert (found.only_in_version, found.only_in_other) == (("old",), ("new",))


def test_compare_partitioned_variables_goes_by_their_parts(bucket: str, publish: Publish) -> None:
    value = np.arange(20, dtype=np.float32).reshape(10, 2)

    def parts(table: np.ndarray, *cuts: int) -> Callable[[BundleWriter], None]:
        def write(writer: BundleWriter) -> None:
            # The parts lie in the file in another order than in the table.
            for start, end in sorted(zip((0, *cuts), (*cuts, 10), strict=True), reverse=True):
                writer.add_slice("table", [10, 2], [start, 0], table[start:end])

        return write

    first = publish(parts(value, 4))
    second, third = publish(parts(value + 1, 4)), publish(parts(value, 6))
    (row,) = _compare(bucket, second, first).variables
    assert row.largest_change == 1.0
    assert row.relative_change == pytest.approx(np.sqrt(20) / np.linalg.norm(value.astype(float)), rel=1e-12)
    found = _compare(bucket, third, first)
    assert (found.variables, [unlike.why for unlike in found.unlike]) == ((), ["partitions"])


def test_compare_large_variables_holds_none_of_them_in_memory(bucket: str, publish: Publish) -> None:
    size = 24 << 20
    one, two = (publish(_arrays({"w": np.full(size, n, np.float32)})) for n in (1, 2))
    tracemalloc.start()
    try:
        found = _compare(bucket, one, two)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert _rows(found)["w"].relative_change == pytest.approx(0.5, rel=1e-12)
    # What is read ahead of either version, and no more, however large they are.
    assert peak < 90e6 < 4 * size, f"{peak / 1e6:.0f} MB"


def test_compare_altered_weights_is_refused(bucket: str, publish: Publish) -> None:
    one, two = (publish(_arrays({"w": np.full(1000, n, np.float32)})) for n in (1, 2))
    storage = open_storage(bucket)
    (data,) = [item for item in storage.list(f"digits/{two}/") if ".data-" in item.name]
    storage.replace(data.name, bytes(data.size), data.generation)
    with pytest.raises(ObjectConflict, match=r"variables\.data-00000.*expected 4000 bytes with crc32c"):
        _compare(bucket, one, two)


def test_compare_versions_that_are_not_there_are_named(bucket: str, publish: Publish) -> None:
    one, two = (publish(_arrays({"w": np.ones(2, np.float32)})) for _ in range(2))
    with pytest.raises(VersionNotFound, match=f"digits/{one + 5}: expected a published version"):
        _compare(bucket, one + 5, two)
    prune_versions(PruneRequest(model="digits", bucket=bucket, keep=1, apply=True, by="grace"))
    with pytest.raises(VersionNotFound, match="but grace pruned this version at"):
        _compare(bucket, two, one)


def test_compare_real_export_with_altered_one_finds_what_was_altered(
    bucket: str, mnist_export: ExportedModel, publish: Publish
) -> None:
    bundle = TensorBundle(Path(mnist_export.uri) / "variables" / "variables")
    values = {key: bundle.read_array(key) for key in bundle.entries}
    one = publish(_arrays(values))
    key = next(key for key, value in values.items() if value.dtype == np.float32 and value.ndim > 1)
    two = publish(_arrays({**values, key: values[key] * np.float32(1.5)}))
    found = _compare(bucket, two, one)
    assert found.variables[0].key == key
    assert found.variables[0].relative_change == pytest.approx(0.5, rel=1e-6)
    assert all(row.equal for row in found.variables[1:])
    assert len(found.variables) == len(values) - 1, "all but the object graph"


def test_compare_export_itself_from_the_command_line_needs_no_tensorflow(
    bucket: str, mnist_export: ExportedModel
) -> None:
    report = ValidationReport(
        model="mnist", digest=mnist_export.digest, checks=(), passed=True, validated_at="2024-05-06T08:00:00Z"
    )
    request = PushRequest(model="mnist", saved_model=mnist_export, report=report, bucket=bucket)
    version = str(push_model(request).version)
    script = f"""
import sys
from redraw.__main__ import main
flags = ["--model", "mnist", "--bucket", {bucket!r}, "--version", {version!r}, "--other", {version!r}]
assert main(["differences", *flags]) == 0
assert not {{"tensorflow", "keras"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = WeightDifferences.from_text(done.stdout, "differences")
    assert found.variables
    assert all(row.equal for row in found.variables)
    assert "comparing" in done.stderr
