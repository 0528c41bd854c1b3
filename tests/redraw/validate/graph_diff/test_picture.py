"""The picture of two graphs, without TensorFlow: bounded, deterministic, and safe to look at."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from redraw.validate.graph_diff.boxes import draw_boxes
from redraw.validate.graph_diff.comparison import Comparison, Part
from redraw.validate.graph_diff.kinds import Kind
from redraw.validate.graph_diff.picture import draw_picture
from redraw.validate.graph_diff.serving_graph import Tensor

HOSTILE = '</title><script>alert("&")</script>'


def comparison(scopes: list[str], name: str = "image") -> Comparison:
    parts = [
        Part(box=scope, kind="network", scope=scope, fate="shared", operations={"MatMul": 4, "Relu": 1})
        for scope in scopes
    ]
    dropped = Part(box="drop", kind="dropout", scope="drop", fate="removed", operations={"RandomUniform": 1})
    flow = tuple(pairwise(scopes))
    return Comparison(
        training=(dropped, *parts),
        serving=tuple(parts),
        training_inputs=("features: float32 [8]",),
        placeholders=(Tensor(name=name, spec="uint8 [None, 28]", signatures=("serving_default",)),),
        outputs=(Tensor(name="digit", spec="int64 [None]", signatures=("serving_default",)),),
        training_flow=flow,
        serving_flow=((f":in/{name}", scopes[0]), *flow, (scopes[-1], ":out/digit")),
        layers=(),
    )


def test_draw_picture_twice_gives_the_same_bytes() -> None:
    few = comparison(["conv_1", "conv_2", "dense"])

    assert draw_picture(few, "digits") == draw_picture(few, "digits")


def test_draw_boxes_names_kinds_of_datasets_without_what_tensorflow_adds() -> None:
    """Only of the input pipeline: `MatMulV2` of a layer is an operation of that name."""
    few = comparison(["dense"])
    pipeline = Part(
        box=f":{Kind.INPUT.value}",
        kind=Kind.INPUT.value,
        scope="",
        fate="removed",
        operations={"BatchDatasetV2": 2, "MapDataset": 1},
    )
    layer = Part(box="dense", kind="network", scope="dense", fate="shared", operations={"MatMulV2": 1})

    boxes = draw_boxes(replace(few, training=(pipeline, layer)))["training"].boxes

    assert [box.detail for box in boxes.values()] == ["3: Batch, Map", "1: MatMulV2"]


def test_draw_picture_shows_layers_and_what_took_the_inputs_place() -> None:
    root = ElementTree.fromstring(draw_picture(comparison(["conv_1", "dense"]), "digits"))  # noqa: S314 - ours

    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert [texts.count(name) for name in ("conv_1", "dense", "image", "digit")] == [2, 2, 1, 1]
    assert texts.count("uint8 [None, 28]") == 1


@pytest.mark.parametrize("name", [HOSTILE, "\N{CJK UNIFIED IDEOGRAPH-4E00}" * 80, "x" * 500, "\x1b[31m"])
def test_draw_picture_of_hostile_names_is_escaped_and_fits_its_boxes(name: str) -> None:
    svg = draw_picture(comparison(["conv"], name), name[:20])

    assert "<script" not in svg
    root = ElementTree.fromstring(svg.replace("\x1b", ""))  # noqa: S314 - ours
    shown = [text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert all(len(text) <= 45 for text in shown)


@pytest.mark.parametrize(
    "scopes",
    [
        [f"net/block_{block}/{part}" for block in range(2000) for part in ("attention", "mlp")],
        [f"{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{chr(97 + n // 676)}" for n in range(5000)],
        [f"deep/{'/'.join('x' * (n % 40 + 1))}" for n in range(2000)],
    ],
    ids=["blocks", "unlike", "deep"],
)
def test_draw_boxes_of_thousands_of_scopes_are_few_enough_to_read(scopes: list[str]) -> None:
    drawings = draw_boxes(comparison(scopes))

    assert all(2 <= len(drawing.boxes) <= 40 for drawing in drawings.values())


def test_draw_picture_of_thousands_of_scopes_takes_seconds_at_most() -> None:
    many = comparison([f"net/block_{block}/{part}" for block in range(2000) for part in range(5)])
    started = time.monotonic()

    draw_picture(many, "large")

    assert time.monotonic() - started < 20
