from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from redraw.ask.ask import ask_version
from redraw.errors import InvalidRequest, NotAnswered, NotLoadable, VersionNotFound
from redraw.records import ExportedModel, Release, ValidationReport
from redraw.records.results import Answer
from redraw.requests import AskRequest, PushRequest
from tests.publishing.asked_model import ODD
from tests.publishing.exports import small_files, write_export


def ask(published: Release, cache: Path, **asked: Any) -> Answer:
    bucket = published.uri.removesuffix(f"/{published.model}/{published.version}")
    request = {"model": published.model, "bucket": bucket, "version": published.version, "cache": str(cache)}
    return ask_version(AskRequest(**{**request, **asked}))


def test_ask_gives_what_the_model_answers(published: Release, tmp_path: Path) -> None:
    answer = ask(published, tmp_path, inputs={"x": [[0.1, 0.0], [-3, 4]]})

    assert answer.outputs["double"].values == [[0.2, 0.0], [-6.0, 8.0]]
    assert answer.outputs["inverse"].values[0] == [10.0, "Infinity"]
    assert (answer.outputs["double"].dtype, answer.outputs["double"].shape) == ("float32", (2, 2))
    assert answer.fetched
    assert 0 < answer.seconds < 30


def test_ask_again_finds_the_version_in_the_cache(published: Release, tmp_path: Path) -> None:
    first = ask(published, tmp_path, inputs={"x": [[1, 2]]})
    again = ask(published, tmp_path, inputs={"x": [[1, 2]]})

    assert (first.fetched, again.fetched) == (True, False)
    assert again.outputs == first.outputs


def test_ask_bytes_and_text_pass_through(published: Release, tmp_path: Path) -> None:
    words = ["é", {"b64": "/wD/"}]

    answer = ask(published, tmp_path, signature="words", inputs={"word": words})

    assert answer.outputs["again"].values == words
    assert answer.outputs["bytes"].values == [2, 3]


def test_ask_names_that_are_no_identifiers_are_asked_and_answered_as_they_are(
    published: Release, tmp_path: Path
) -> None:
    inputs = {name: [place, 1] for place, name in enumerate(ODD)}

    answer = ask(published, tmp_path, signature="weigh", inputs=inputs)

    weights = [2**place for place in range(len(ODD))]
    summed = [float(sum(place * weight for place, weight in enumerate(weights))), float(sum(weights))]
    assert {name: output.values for name, output in answer.outputs.items()} == {
        "sum/all": summed,
        "class": summed,
    }
    assert ask(published, tmp_path, signature="weigh").inputs == {n: [float(p)] for p, n in enumerate(ODD)}


def test_ask_without_inputs_sends_the_first_row_of_the_warm_up(published: Release, tmp_path: Path) -> None:
    answer = ask(published, tmp_path)

    assert answer.inputs == {"x": [[0.1, 2.0]]}
    assert answer.outputs["double"].values == [[0.2, 4.0]]


def test_ask_of_a_shape_that_misfits_fetches_nothing(published: Release, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"input 'x': expected float32 \[None, 2\], got values of shape"):
        ask(published, tmp_path, inputs={"x": [1, 2]})

    assert not [*tmp_path.iterdir()]


def test_ask_of_a_signature_that_is_none_lists_those_there_are(published: Release, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="'other': expected one of hold, serving_default, spin"):
        ask(published, tmp_path, signature="other", inputs={})


def test_ask_of_a_version_that_is_none_says_so(published: Release, tmp_path: Path) -> None:
    with pytest.raises(VersionNotFound, match="expected a published version"):
        ask(published, tmp_path, version=2020010100000000)


def test_ask_that_takes_too_long_is_ended(published: Release, tmp_path: Path) -> None:
    began = time.monotonic()

    with pytest.raises(NotAnswered, match="no answer within 2 s"):
        ask(published, tmp_path, signature="spin", inputs={"rounds": [2**62]}, seconds=2.0)

    assert time.monotonic() - began < 60


def test_ask_what_the_model_refuses_gives_its_words(published: Release, tmp_path: Path) -> None:
    with pytest.raises(NotAnswered, match="slice index 0 of dimension 0 out of bounds"):
        ask(published, tmp_path, signature="spin", inputs={"rounds": []})


def test_ask_version_that_no_server_loads_says_so(bucket: str, tmp_path: Path) -> None:
    from redraw.publish.push.push import push_model

    export = write_export(tmp_path / "export", small_files())
    release = push_model(
        PushRequest(
            model="digits",
            saved_model=str(export.folder),
            report=f"{export.folder}.report.json",
            bucket=bucket,
        )
    )

    with pytest.raises(NotLoadable, match="TensorFlow's C"):
        ask(release, tmp_path / "cache", inputs={"image": [[[0] * 28] * 28]})


def test_ask_by_the_command_line_imports_no_tensorflow(published: Release, tmp_path: Path) -> None:
    inputs = tmp_path / "inputs.json"
    inputs.write_text('{"x": [[1, 2]]}')
    bucket = published.uri.removesuffix(f"/{published.model}/{published.version}")
    arguments = ["ask", "--model", "digits", "--bucket", bucket, "--version", str(published.version)]
    source = (
        "import sys; from redraw.__main__ import main; code = main(sys.argv[1:]);"
        " sys.exit(code or ('tensorflow' in sys.modules and 'TensorFlow was imported'))"
    )

    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            source,
            *arguments,
            "--inputs",
            str(inputs),
            "--cache",
            str(tmp_path / "cache"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["outputs"]["double"]["values"] == [[2.0, 4.0]]


def test_ask_by_the_command_line_with_inputs_that_are_no_json_fails_in_one_line(tmp_path: Path) -> None:
    from redraw.__main__ import main

    inputs = tmp_path / "inputs.json"
    inputs.write_text("{")

    assert (
        main(["ask", "--model", "m", "--bucket", "gs://bbb", "--version", "1", "--inputs", str(inputs)]) == 1
    )


def test_ask_published_mnist_names_the_digit_of_its_pixels_and_of_its_png_file(
    mnist_export: ExportedModel, bucket: str, tmp_path: Path
) -> None:
    from redraw.publish.push.push import push_model

    report = ValidationReport(
        model="mnist",
        digest=mnist_export.digest,
        checks=(),
        passed=True,
        validated_at="2024-05-06T08:00:00Z",
    )
    release = push_model(PushRequest(model="mnist", saved_model=mnist_export, report=report, bucket=bucket))

    of_pixels, of_file = (ask(release, tmp_path, signature=name) for name in sorted(release.signatures))

    assert of_pixels.outputs["digit"].values == of_file.outputs["digit"].values == [0]
    assert sum(of_pixels.outputs["probabilities"].values[0]) == pytest.approx(1)
    assert [*of_file.inputs["png"][0]] == ["b64"]
