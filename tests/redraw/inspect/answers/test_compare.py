"""What two versions answer, compared: real versions in a bucket, asked by the C++ runtime."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from redraw.__main__ import main
from redraw.definition.registry import find_model, load_definition
from redraw.definition.source_text import read_definition_text
from redraw.errors import InvalidRequest, OutputExists, UnknownModel, VersionNotFound
from redraw.inspect.answers import compare as module
from redraw.inspect.answers.compare import compare_answers
from redraw.inspect.answers.tables import print_answers
from redraw.records.results import AnswerComparison, OutputDifference
from redraw.requests import CompareAnswersRequest

TOPICS = ("billing", "delivery", "technical", "praise")
WARM_UP = ("a", "bb", "ccc", "dddd", "eeeee", "ffffff")

Compare = Callable[..., AnswerComparison]


@pytest.fixture(scope="module")
def compare(published: Any) -> Compare:
    """Compares the new version with the old one."""

    def compared(*files: Path | str, other: str = "old", **more: Any) -> AnswerComparison:
        request = CompareAnswersRequest(
            model="text_classifier",
            bucket=published.bucket,
            version=published.new,
            other=getattr(published, other),
            requests=tuple(map(str, files)),
            **more,
        )
        found = compare_answers(request)
        # Whatever was found can be printed, and read again.
        assert AnswerComparison.from_text(json.dumps(found.to_json(), allow_nan=False), "record") == found
        return found

    return compared


def lines(path: Path, records: Iterable[Any]) -> Path:
    path.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in records))
    return path


def logged(path: Path, inputs: Iterable[tuple[str, dict[str, np.ndarray]]]) -> Path:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, values in inputs:
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.model_spec.signature_name = signature
            for name, value in values.items():
                log.predict_log.request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            writer.write(log.SerializeToString())
    return path


def output_of(found: AnswerComparison, name: str) -> OutputDifference:
    return next(output for output in found.outputs if output.output == name)


def topics(texts: Iterable[str], count: int) -> list[str]:
    return [TOPICS[len(text) % count] for text in texts]


def test_compare_examples_gives_changed_classes_slices_and_metrics_of_both(compare: Compare) -> None:
    found = compare()
    held_out = load_definition("text_classifier").held_out_examples()["serving_default"]
    texts = [*WARM_UP, *(text.decode() for text in held_out.inputs["text"])]
    new, old = topics(texts, 4), topics(texts, 3)
    topic = output_of(found, "topic")
    assert found.rows == topic.rows == 54
    assert {source.name: source.rows for source in found.sources} == {"golden": 6, "held-out": 48}
    assert topic.changed == sum(a != b for a, b in zip(new, old, strict=True))
    table = {(cell.here, cell.other): cell.rows for cell in topic.classes}
    assert table == dict(Counter(zip(new, old, strict=True)))
    assert topic.largest is None
    labels = [label.decode() for label in held_out.labels["topic"]]
    (metrics,) = found.metrics
    (accuracy,) = metrics.metrics
    right = [np.mean([a == b for a, b in zip(side[6:], labels, strict=True)]) for side in (new, old)]
    assert (accuracy.here, accuracy.other) == pytest.approx(right)
    assert accuracy.here_interval[0] <= right[0] <= accuracy.here_interval[1]
    assert accuracy.difference_interval[0] <= right[0] - right[1] <= accuracy.difference_interval[1]
    for row in (row for row in found.slices if row.by == "label:topic"):
        places = [place + 6 for place, label in enumerate(labels) if label == row.value]
        assert row.rows == len(places)
        assert row.changed["topic"] == sum(new[place] != old[place] for place in places)
    assert {row.value for row in found.slices if row.by == "source"} == {"golden", "held-out"}


def test_compare_floats_are_as_numpy_says(compare: Compare, tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    x = (random.uniform(1, 3, (3000, 2))).astype(np.float32)
    log = logged(tmp_path / "x.tfrecord", [("pairs", {"x": part}) for part in np.split(x, 30)])
    found = compare(log, tolerance=0.05)
    inverse, total = output_of(found, "inverse"), output_of(found, "sum")
    gaps = (np.float32(500) / x - np.float32(1) / x).max(axis=1)
    assert inverse.largest == pytest.approx(gaps.max(), rel=1e-5)
    assert inverse.mean == pytest.approx(gaps.mean(), rel=1e-4)
    for name, share in {"p50": 50, "p90": 90, "p99": 99}.items():
        assert inverse.quantiles[name] == pytest.approx(np.percentile(gaps, share), rel=0.02)
    assert (total.rows, total.changed) == (3000, int((x[:, 0] > 2).sum()))
    assert sum(bar.rows for bar in inverse.histogram) == 3000
    assert (inverse.not_finite, inverse.misfit) == (0, "")
    assert [one.difference for one in inverse.examples] == sorted(
        (one.difference for one in inverse.examples), reverse=True
    )
    worst = inverse.examples[0]
    assert worst.row == f"x.tfrecord record {int(gaps.argmax()) // 100 + 1}"
    assert worst.inputs["x"] == pytest.approx(x[gaps.argmax()].tolist())
    assert len(inverse.points) > 250
    assert all(len(point) == 2 for point in inverse.points)


def test_compare_a_request_of_a_thousand_rows_compares_each(compare: Compare, tmp_path: Path) -> None:
    texts = ["x" * (number % 40 + 1) for number in range(1000)]
    log = logged(tmp_path / "log", [("serving_default", {"text": np.array(texts, object)})])
    found = compare(log)
    new, old = topics(texts, 4), topics(texts, 3)
    topic = output_of(found, "topic")
    assert found.rows == topic.rows == sum(cell.rows for cell in topic.classes) == 1000
    assert topic.changed == sum(a != b for a, b in zip(new, old, strict=True))


def test_compare_not_a_number_on_one_side_is_counted_and_in_no_figure(
    compare: Compare, tmp_path: Path
) -> None:
    """NaN and zeros are answered the same by both; of a very small number only one answer is infinite."""
    x = [[1.0, "NaN"], [1.0, 0.0], [3.0, 2e-38], [3.0, 1.0]]
    found = compare(lines(tmp_path / "x.jsonl", [{"signature_name": "pairs", "inputs": {"x": x}}]))
    inverse, total = output_of(found, "inverse"), output_of(found, "sum")
    assert (total.changed, total.not_finite) == (2, 0)
    assert (inverse.rows, inverse.changed, inverse.not_finite) == (4, 4, 1)
    assert inverse.largest == pytest.approx(499)
    assert inverse.examples[0].difference is None
    assert inverse.examples[0].here[1] == "Infinity"


def test_compare_json_lines_by_fields_inputs_and_labels(compare: Compare, tmp_path: Path) -> None:
    texts = ["x" * size for size in range(1, 25)]
    records: list[Any] = [
        {"instances": [text], "country": "CH" if len(text) % 2 else "DE", "labels": {"topic": TOPICS[0]}}
        for text in texts
    ]
    found = compare(lines(tmp_path / "log.jsonl", records), slice=("country", "text", "absent"))
    new, old = topics(texts, 4), topics(texts, 3)
    by_country = {row.value: row for row in found.slices if row.by == "country"}
    for country, odd in (("CH", 1), ("DE", 0)):
        changed = sum(a != b for t, a, b in zip(texts, new, old, strict=True) if len(t) % 2 == odd)
        assert (by_country[country].rows, by_country[country].changed["topic"]) == (12, changed)
    assert len([row for row in found.slices if row.by == "text"]) == 24
    assert "no request has 'absent' to group rows by" in found.left_out
    assert found.metrics[0].metrics[0].here == pytest.approx(new.count("billing") / 24)


def test_compare_rows_of_every_form_go_on_together(compare: Compare, tmp_path: Path) -> None:
    records = [
        {"instances": [{"text": "a"}, {"text": "bb"}]},
        {"inputs": ["ccc"]},
        {"request": {"inputs": {"text": ["dddd"]}}, "response": {"outputs": ["praise"]}},
        {"signature_name": "serving_default", "instances": ["eeeee"]},
    ]
    found = compare(lines(tmp_path / "forms.jsonl", records))
    assert (found.rows, found.left_out) == (5, ())


def test_compare_rows_that_one_version_refuses_are_counted_for_it(compare: Compare, tmp_path: Path) -> None:
    """The old version takes pairs that begin below 3 million, the new one below 4 million."""
    x = [[float(number), 1.0] for number in range(1, 200)]
    x[50], x[120] = [3.5e6, 1.0], [5e6, 1.0]
    found = compare(lines(tmp_path / "x.jsonl", [{"signature_name": "pairs", "inputs": {"x": x}}]))
    assert (found.rows, found.refused, found.refused_by_other) == (197, 1, 2)


def test_compare_rows_that_are_refused_now_and_then_cost_no_other_row(
    compare: Compare, tmp_path: Path
) -> None:
    """While a batch is halved to find a refused row, the next ones are on their way to the same models."""
    x = [[5e6 if number % 100 == 0 else float(number % 3), 1.0] for number in range(6_000)]
    records = [{"signature_name": "pairs", "inputs": {"x": [pair]}} for pair in x]
    found = compare(lines(tmp_path / "x.jsonl", records))
    assert (found.rows, found.refused, found.refused_by_other) == (5_940, 60, 60)
    assert output_of(found, "sum").changed == 0


def test_compare_a_log_that_is_refused_throughout_is_not_searched_row_by_row(
    compare: Compare, tmp_path: Path
) -> None:
    x = [[float(number), 1.0] for number in range(100)] + [[5e6, 1.0]] * 5_000
    records = [{"signature_name": "pairs", "inputs": {"x": [pair]}} for pair in x]
    found = compare(lines(tmp_path / "x.jsonl", records))
    assert (found.rows, found.refused) == (100, 5_000)
    assert any(
        "rows of the same request" in text or "more lines like these" in text for text in found.left_out
    )


def test_compare_labels_that_are_whole_numbers_in_some_batches_all_count(
    compare: Compare, tmp_path: Path
) -> None:
    """The sum is 2; half of the labels say so."""
    records = [
        {"signature_name": "pairs", "inputs": {"x": [[1.0, 1.0]]}, "labels": {"sum": 2 if row < 400 else 2.5}}
        for row in range(800)
    ]
    records.append({"signature_name": "pairs", "inputs": {"x": [[1.0, 1.0]]}, "labels": {"sum": [[2, 2]]}})
    found = compare(lines(tmp_path / "x.jsonl", records))
    (metrics,) = found.metrics
    assert (metrics.labelled, metrics.measured) == (800, 800)
    assert metrics.metrics[0].here == pytest.approx(0.25)
    note = "1 rows are left out, whose labels have another shape than the first row's"
    assert f"metrics of signature 'pairs': {note}" in found.left_out


def test_compare_truncated_tf_records_count_up_to_there(compare: Compare, tmp_path: Path) -> None:
    path = logged(tmp_path / "cut.tfrecord", [("serving_default", {"text": np.array([b"a"], object)})] * 5)
    path.write_bytes(path.read_bytes()[:-3])
    found = compare(path)
    assert found.rows == 4
    assert "cut.tfrecord: after 4 intact records: expected a record of" in found.left_out[0]


@pytest.mark.parametrize(
    ("written", "tolerance"),
    [("", 0.01), ("change_tolerance = 0.25", 0.25), ("change_tolerance: float = 1 / 2", 0.5), (None, 0.01)],
)
def test_compare_without_a_tolerance_takes_that_of_the_definition(
    written: str | None, tolerance: float, compare: Compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = load_definition("text_classifier")
    found = (
        None
        if written is None
        else read_definition_text(f"class A:\n    {written or 'pass'}").change_tolerance
    )

    def fitting(name: str, _: str) -> Any:
        if written is None:
            raise UnknownModel(f"model {name!r}: expected one of none.")
        return replace(find_model(name), change_tolerance=found)

    monkeypatch.setattr(module, "find_fitting", fitting)
    monkeypatch.setattr(type(known), "change_tolerance", tolerance)
    log = lines(tmp_path / "x.jsonl", [{"signature_name": "pairs", "inputs": {"x": [[1.0, 1.0]]}}])
    assert compare(log).tolerance == tolerance
    assert compare(log, tolerance=0.125).tolerance == 0.125


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "empty.jsonl",
            b"",
            "no request could be compared: empty.jsonl: expected requests, got an empty file. Name other",
        ),
        ("old.jsonl", b'{"signature_name": "old", "inputs": [1]}\n', "1 requests for signature 'old'"),
        ("none.jsonl", None, "none.jsonl: expected a file of JSON lines or TFRecords, golden or held-out"),
    ],
)
def test_compare_nothing_to_compare_is_one_clear_line(
    compare: Compare, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidRequest) as caught:
        compare(tmp_path / name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("end", ["", "/", "/absent.jsonl"])
def test_compare_requests_that_are_no_object_of_a_bucket_are_refused_by_name(
    end: str, compare: Compare, published: Any
) -> None:
    with pytest.raises(InvalidRequest, match=f"requests {published.bucket}{end}: expected a file of JSON"):
        compare(f"{published.bucket}{end}")


def test_compare_versions_of_other_form_says_what_only_one_has(compare: Compare, published: Any) -> None:
    found = compare("golden", other="other_form")
    assert [output.output for output in found.outputs] == ["topic"]
    assert output_of(found, "topic").changed == 6
    new, other = published.new, published.other_form
    assert found.left_out == (
        f"only version {other} has signature 'fresh'",
        f"signature 'pairs' takes x (float32) in version {new} and x (float64) in version {other}",
        f"only version {new} has output 'probabilities' of signature 'serving_default'",
        f"only version {other} has output 'rank' of signature 'serving_default'",
    )


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (2020010100000000, "2020010100000000"),
        (0, "/0: expected a published version"),
        (None, "expected a live version to"),
    ],
)
def test_compare_absent_version_is_named(published: Any, other: int | None, message: str) -> None:
    request = CompareAnswersRequest(
        model="text_classifier", bucket=published.bucket, version=published.new, other=other
    )
    with pytest.raises(VersionNotFound, match=message):
        compare_answers(request)


def test_compare_memory_does_not_grow_with_the_rows(compare: Compare, tmp_path: Path) -> None:
    """Ten times the rows: as much memory, but for what a batch of full size takes."""
    peaks = []
    for count in (4_000, 40_000):
        path = lines(tmp_path / "many.jsonl", ({"instances": [f"{n} words"]} for n in range(count)))
        tracemalloc.start()
        assert compare(path).rows == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] + (4 << 20)


def test_command_prints_tables_and_writes_the_record(
    published: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "answers.json"
    flags = ["--model", "text_classifier", "--bucket", published.bucket, "--version", str(published.new)]
    more = ["--other", str(published.old), "--requests", "golden", "--json", str(out), "--format", "table"]
    assert main(["compare-answers", *flags, *more]) == 0
    printed = capsys.readouterr().out
    found = AnswerComparison.from_text(out.read_bytes(), str(out))
    assert f"{published.new} versus {published.old}, 6 rows (6 of golden)" in printed
    assert "serving_default topic was" in printed
    print_answers(found)
    assert capsys.readouterr().out == printed


def test_compare_record_that_cannot_be_written_is_printed_all_the_same(
    published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, compare = tmp_path / "answers.json", module._compare

    def somebody_makes_a_folder_there(*arguments: Any) -> AnswerComparison:
        found = compare(*arguments)
        out.mkdir()
        return found

    monkeypatch.setattr(module, "_compare", somebody_makes_a_folder_there)
    flags = ["--model", "text_classifier", "--bucket", published.bucket, "--version", str(published.new)]
    more = ["--other", str(published.old), "--requests", "golden", "--json", str(out)]
    assert main(["compare-answers", *flags, *more]) == 1
    printed = capsys.readouterr()
    assert AnswerComparison.from_text(printed.out, "stdout").rows == 6
    assert f"json {out}: cannot write this file:" in printed.err


def test_compare_never_writes_its_record_over_another_file(compare: Compare, tmp_path: Path) -> None:
    requests = lines(tmp_path / "requests.jsonl", [{"inputs": {"text": ["a"]}}])
    before = requests.read_bytes()
    with pytest.raises(OutputExists, match="expected no file, or an earlier AnswerComparison, got another"):
        compare(requests, json=str(requests))
    assert requests.read_bytes() == before
    for _ in range(2):
        compare(requests, json=str(tmp_path / "answers.json"))
