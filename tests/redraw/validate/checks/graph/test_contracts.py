"""Signatures, assets and budgets, checked against the definition and the live version."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from redraw.definition import Budget
from redraw.records import Check, Release, Signature, TensorSpec, ValidationReport
from redraw.records.making import Provenance
from redraw.validate.subject.subject import LiveVersion, Subject

RunCheck = Callable[[str, Subject], Check]

FLOATS = TensorSpec("float32", (None, 4))


def default(hand_made) -> Any:
    return hand_made.meta.signature_def["serving_default"]


@pytest.mark.parametrize(
    ("signature", "problem"),
    [
        (
            Signature(inputs={"image": FLOATS}, outputs={"y": FLOATS}),
            "input 'image': expected float32 [None, 4], got none",
        ),
        (
            Signature(inputs={"x": TensorSpec("int64", (None, 4))}, outputs={"y": FLOATS}),
            "input 'x': expected int64 [None, 4], got float32 [None, 4]",
        ),
        (
            Signature(inputs={"x": FLOATS}, outputs={"y": TensorSpec("float32", (None,))}),
            "output 'y': expected float32 [None], got float32 [None, 4]",
        ),
    ],
)
def test_signatures_other_tensor_is_named(
    signature: Signature, problem: str, hand_made, run_check: RunCheck
) -> None:
    hand_made.definition.signatures = {"serving_default": signature}
    assert problem in run_check("signatures", hand_made.subject()).found


def test_signatures_missing_and_unknown_are_named(hand_made, run_check: RunCheck) -> None:
    hand_made.definition.signatures = {"other": hand_made.definition.signatures["serving_default"]}
    found = run_check("signatures", hand_made.subject()).found
    assert "signature 'other' is missing" in found
    assert "signature 'serving_default' is not in the definition" in found


def test_signatures_tensor_that_is_not_there_is_named(hand_made, run_check: RunCheck) -> None:
    hand_made.answer_with("gone:0")
    assert "the graph has no tensor 'gone:0'" in run_check("signatures", hand_made.subject()).found


def test_signatures_placeholder_of_another_dtype_is_named(hand_made, run_check: RunCheck) -> None:
    hand_made.meta.graph_def.node[0].attr["dtype"].type = 9
    found = run_check("signatures", hand_made.subject()).found
    assert "expected a placeholder of float32, got 'x:0' of int64" in found


def test_method_names_without_serving_default_fails(hand_made, run_check: RunCheck) -> None:
    hand_made.meta.signature_def["predict"].CopyFrom(default(hand_made))
    del hand_made.meta.signature_def["serving_default"]
    found = run_check("method-names", hand_made.subject()).found
    assert found == "no signature is called 'serving_default'"


def test_method_names_unknown_method_is_named(hand_made, run_check: RunCheck) -> None:
    default(hand_made).method_name = "serve"
    assert "has the method name 'serve'" in run_check("method-names", hand_made.subject()).found


@pytest.mark.parametrize("kind", ["inputs", "outputs"])
def test_method_names_fixed_batch_is_named(kind: str, hand_made, run_check: RunCheck) -> None:
    (info,) = getattr(default(hand_made), kind).values()
    info.tensor_shape.dim[0].size = 1
    found = run_check("method-names", hand_made.subject()).found
    assert "has no batch dimension (None first): float32 [1, 4]" in found


STRING, FLOAT = 7, 1


@pytest.mark.parametrize(
    ("outputs", "problem"),
    [
        ({"classes": STRING, "scores": FLOAT}, ""),
        ({"scores": FLOAT}, ""),
        (
            {"classes": FLOAT, "scores": STRING},
            "output 'classes': tensorflow/serving/classify requires string",
        ),
        ({"y": FLOAT}, "output 'y': tensorflow/serving/classify requires only classes and scores"),
    ],
)
def test_method_names_classify_is_held_to_its_promise(
    outputs: dict[str, int], problem: str, hand_made, run_check: RunCheck
) -> None:
    signature = default(hand_made)
    signature.method_name = "tensorflow/serving/classify"
    signature.inputs["x"].dtype = STRING
    template = signature.outputs["y"]
    made = {name: type(template)() for name in outputs}
    for name, dtype in outputs.items():
        made[name].CopyFrom(template)
        made[name].dtype = dtype
    del signature.outputs["y"]
    for name, info in made.items():
        signature.outputs[name].CopyFrom(info)
    check = run_check("method-names", hand_made.subject())
    assert (check.status == "failed") == bool(problem)
    assert problem in check.found


@pytest.fixture
def live(hand_made) -> Callable[..., LiveVersion]:
    """A live version with other signatures than the export's."""

    def make(inputs: dict[str, TensorSpec], outputs: dict[str, TensorSpec], **more: Signature) -> LiveVersion:
        exported = hand_made.write()
        report = ValidationReport(
            model="line", digest="", checks=(), passed=True, validated_at="2024-05-06T07:08:09Z"
        )
        release = Release(
            model="line",
            version=2024050607080900,
            uri="gs://bucket/line/2024050607080900",
            digest="",
            size_bytes=77,
            signatures={"serving_default": Signature(inputs=inputs, outputs=outputs), **more},
            checkpoint=exported.checkpoint,
            weights="raw",
            report=report,
            previous=None,
            pushed_at="2024-05-06T07:08:09Z",
            ledger=exported.ledger,
            provenance=Provenance(made_by=None, report_digest="", asked_by="a test"),
            generations={},
        )
        return LiveVersion(release=release, fetch=lambda: hand_made.folder)

    return make


@pytest.mark.parametrize(
    ("inputs", "outputs", "problem"),
    [
        ({"x": FLOATS}, {"y": FLOATS}, ""),
        ({"x": FLOATS}, {}, ""),
        ({"x": FLOATS}, {"y": TensorSpec("float32", (None, None))}, ""),
        ({"x": TensorSpec("float32", (7, 4))}, {"y": FLOATS}, ""),
        ({"image": FLOATS}, {"y": FLOATS}, "input 'image' is gone or renamed"),
        ({}, {"y": FLOATS}, "input 'x' is new, and existing clients do not send it"),
        (
            {"x": TensorSpec("float64", (None, 4))},
            {"y": FLOATS},
            "input 'x' was float64 [None, 4], and is now",
        ),
        ({"x": TensorSpec("float32", (None, None))}, {"y": FLOATS}, "input 'x' was float32 [None, None]"),
        ({"x": TensorSpec("float32", (None,))}, {"y": FLOATS}, "input 'x' was float32 [None], and"),
        ({"x": FLOATS}, {"y": FLOATS, "z": FLOATS}, "output 'z' is gone or renamed"),
        ({"x": FLOATS}, {"y": TensorSpec("int64", (None, 4))}, "output 'y' was int64 [None, 4], and is"),
        ({"x": FLOATS}, {"y": TensorSpec("float32", (5, 4))}, "output 'y' was float32 [5, 4], and is"),
    ],
)
def test_live_signatures_break_for_clients_is_named(
    inputs: dict[str, TensorSpec],
    outputs: dict[str, TensorSpec],
    problem: str,
    hand_made,
    live: Callable[..., LiveVersion],
    run_check: RunCheck,
) -> None:
    check = run_check("live-signatures", hand_made.subject(live(inputs, outputs)))
    assert (check.status == "failed") == bool(problem), check.found
    assert problem in check.found


def test_live_signatures_wanted_break_passes_and_is_told(
    hand_made, live: Callable[..., LiveVersion], run_check: RunCheck
) -> None:
    gone = Signature(inputs={"x": FLOATS}, outputs={"y": FLOATS})
    subject = hand_made.subject(live({"x": FLOATS}, {"y": FLOATS}, gone=gone), "nobody asks it")
    check = run_check("live-signatures", subject)
    assert check.status == "passed"
    assert check.found == "breaking changes, allowed (nobody asks it): signature 'gone' is gone"


def test_live_signatures_new_input_with_a_default_passes(
    hand_made, live: Callable[..., LiveVersion], run_check: RunCheck
) -> None:
    default(hand_made).defaults["x"].dtype = FLOAT
    assert run_check("live-signatures", hand_made.subject(live({}, {}))).status == "passed"


@pytest.mark.parametrize(
    ("filename", "problem"),
    [
        ("/etc/hostname", "asset '/etc/hostname' is an absolute path"),
        ("../saved_model.pb", "asset '../saved_model.pb' is a path outside of assets/"),
        ("words.txt", "asset 'words.txt' is missing"),
    ],
)
def test_assets_file_that_is_not_its_own_is_named(
    filename: str, problem: str, hand_made, run_check: RunCheck
) -> None:
    hand_made.meta.asset_file_def.add(filename=filename).tensor_info.name = "x:0"
    assert problem in run_check("assets", hand_made.subject()).found


def with_words(hand_made, content: bytes, wanted: bytes, tmp_path: Path) -> Subject:
    hand_made.meta.asset_file_def.add(filename="words.txt").tensor_info.name = "x:0"
    hand_made.files["assets/words.txt"] = content
    hand_made.assets["words.txt"] = tmp_path / "words.txt"
    hand_made.assets["words.txt"].write_bytes(wanted)
    return hand_made.subject()


def test_assets_same_vocabulary_passes(hand_made, tmp_path: Path, run_check: RunCheck) -> None:
    subject = with_words(hand_made, b"a\nb\n", b"a\nb\n", tmp_path)
    assert run_check("assets", subject).found == "words.txt"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a\nc\nb\n", "from line 2 on (3 lines, 3 expected, the same lines in another order)"),
        (b"a\nb\n", "from line 3 on (2 lines, 3 expected)"),
        (b"a\nb\nd\n", "from line 3 on (3 lines, 3 expected)"),
        (b"a\nb\nc", "from line 4 on"),
    ],
)
def test_assets_other_vocabulary_is_named(
    content: bytes, problem: str, hand_made, tmp_path: Path, run_check: RunCheck
) -> None:
    found = run_check("assets", with_words(hand_made, content, b"a\nb\nc\n", tmp_path)).found
    assert problem in found


def test_assets_unread_file_is_named(hand_made, run_check: RunCheck) -> None:
    hand_made.files["assets/left.txt"] = b"left"
    assert run_check("assets", hand_made.subject()).found == "the graph does not read assets/left.txt"


def test_assets_fed_to_no_tensor_is_named(hand_made, run_check: RunCheck) -> None:
    hand_made.meta.asset_file_def.add(filename="a").tensor_info.name = "gone:0"
    hand_made.files["assets/a"] = b"a"
    assert "belongs to the tensor 'gone:0'" in run_check("assets", hand_made.subject()).found


def test_size_budget_over_its_bounds_is_named(hand_made, run_check: RunCheck) -> None:
    size = hand_made.write().size_bytes
    hand_made.definition.budget = Budget(size_bytes=size - 1, variables=7)
    found = run_check("size-budget", hand_made.subject()).found
    assert found == f"{size} bytes, 1 more than allowed; 8 values in variables, 1 more than allowed"
    hand_made.definition.budget = replace(hand_made.definition.budget, size_bytes=size, variables=8)
    assert run_check("size-budget", hand_made.subject()).status == "passed"


def test_size_budget_beside_a_live_version_shows_its_size(
    hand_made, live: Callable[..., LiveVersion], run_check: RunCheck
) -> None:
    check = run_check("size-budget", hand_made.subject(live({}, {})))
    assert check.found.endswith("the live version has 77 bytes")
