"""What is kept next to versions, made into rows: no server, and no TensorFlow."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from redraw.errors import InvalidRecord
from redraw.export.weights.ledger import Dropped, Ledger, Served
from redraw.records import Signature, TensorSpec
from redraw.records.attachments import read_latency
from redraw.records.results import VariableDifference, WeightDifferences
from redraw.uri import Uri
from redraw.validate.graph_diff.comparison import Comparison, Part
from redraw.validate.graph_diff.picture import draw_picture
from redraw.validate.graph_diff.serving_graph import Tensor
from redraw_airflow.urls import folder_url, object_url
from redraw_airflow.web.routes.attachments import in_theme
from redraw_airflow.web.views.graph_parts import differing_operations, read_graphs
from redraw_airflow.web.views.ledger_rows import find_rows, read_ledger
from redraw_airflow.web.views.metric_changes import compare_metrics
from redraw_airflow.web.views.signature_changes import compare_signatures
from redraw_airflow.web.views.weight_changes import find_weights
from tests.redraw_airflow.web.publications import checkpoint_record

IMAGE = Tensor(name="image", spec="uint8 [None]", signatures=("serving_default",))


def part(scope: str, fate: Any, kind: str = "network", **operations: int) -> Part:
    return Part(box=scope or ":odd", kind=kind, scope=scope, fate=fate, operations=operations)


def comparison(*serving: Part) -> Comparison:
    return Comparison(
        training=(
            part("dense", "shared", MatMul=1),
            part("drop_1", "removed", "dropout", RandomUniform=1, Mul=2),
            part("drop_2", "removed", "dropout", Mul=5),
            part("", "removed", "loss", Mean=1),
        ),
        serving=serving,
        training_inputs=("features: float32 [8]",),
        placeholders=(IMAGE,),
        outputs=(IMAGE,),
        training_flow=(),
        serving_flow=(),
        layers=(),
    )


def as_kept(graphs: Comparison) -> bytes:
    return json.dumps(graphs.to_json()).encode()


def test_read_graphs_sums_what_vanished_by_purpose_the_most_first() -> None:
    graphs = read_graphs(as_kept(comparison(part("cast", "added", "serving", Cast=1))))

    assert [(change.kind, change.count) for change in graphs.removed] == [("dropout", 8), ("loss", 1)]
    assert graphs.removed[0].scopes == ("drop_2", "drop_1")
    assert list(graphs.removed[0].operations.items()) == [("Mul", 7), ("RandomUniform", 1)]
    assert graphs.removed[1].scopes == ("odd",)
    assert [(change.kind, change.count) for change in graphs.added] == [("serving", 1)]
    assert graphs.left == ()
    assert (graphs.training_operations, graphs.serving_operations, graphs.shared) == (10, 1, 1)
    assert graphs.placeholders[0].name == "image"


def test_differing_operations_counts_each_layer_and_type_on_both_sides() -> None:
    here = read_graphs(
        as_kept(comparison(part("dense", "shared", MatMul=2, Relu=1), part("a", "added", Cast=1)))
    )
    there = read_graphs(as_kept(comparison(part("dense", "shared", MatMul=1, Relu=1))))

    rows = [(row.scope, row.operation, row.here, row.there) for row in differing_operations(here, there)]

    assert rows == [("a", "Cast", 1, 0), ("dense", "MatMul", 2, 1)]
    assert differing_operations(here, here) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b"null",
        b'{"served": 1}',
        b"\xff",
        b"[" * 100_000,
        b'{"served": [{"key": 1}], "dropped": []}',
    ],
)
def test_read_of_something_else_says_so(content: bytes) -> None:
    for read in (read_graphs, read_ledger, read_latency):
        with pytest.raises(InvalidRecord, match="expected an attachment that 'redraw validate' writes"):
            read(content)


def test_read_ledger_lists_every_tensor_with_its_fate() -> None:
    served = Served(variable="dense/kernel", key="k/.A", dtype="float32", shape=(3, 2), saved_as="s/.A")
    ledger = Ledger(served=(served,), dropped=(Dropped(key="adam/m", rule="slot variable"),))

    kept, dropped = read_ledger(ledger.to_bytes())

    assert (kept.key, kept.variable, kept.saved_as, kept.tensor) == (
        "k/.A",
        "dense/kernel",
        "s/.A",
        "float32 [3, 2]",
    )
    assert kept.served
    assert (dropped.key, dropped.fate, dropped.served) == ("adam/m", "slot variable", False)


def test_find_rows_searches_all_names_and_cuts_pages() -> None:
    dropped = tuple(Dropped(key=f"adam/m_{n}", rule="slot variable") for n in range(5000))
    served = Served(variable="Dense/Kernel", key="k", dtype="bfloat16", shape=(3,), saved_as="s")
    rows = read_ledger(Ledger(served=(served,), dropped=dropped).to_bytes())

    assert find_rows(rows, "dense BFLOAT16").rows == [rows[0]]
    assert find_rows(rows, "", "served").matches == 1
    assert find_rows(rows, "SLOT m_4999").rows == [rows[-1]]
    assert find_rows(rows, "kernel", "dropped").matches == 0
    last = find_rows(rows, "", "dropped", page=10**9)
    assert (last.matches, last.total, last.page) == (5000, 5001, last.pages)
    assert last.rows[-1] == rows[-1]
    assert sum(len(find_rows(rows, page=n + 1).rows) for n in range(find_rows(rows).pages)) == 5001


def test_read_latency_gives_the_figures_of_each_signature() -> None:
    row = {"rows": 1, "p50_ms": 0.5, "p95_ms": 0.7, "p99_ms": 1, "rows_per_second": 2000.0, "runs": 90}

    figures = read_latency(json.dumps({"serving_default": [row]}).encode())

    assert figures["serving_default"][0].p99_ms == 1.0
    assert figures["serving_default"][0].runs == 90


def test_compare_signatures_tells_added_removed_and_changed() -> None:
    image, digit = TensorSpec("uint8", (None, 28, 28)), TensorSpec("int64", (None,))
    here = {
        "a": Signature(inputs={"x": image}, outputs={"y": digit, "z": digit}),
        "b": Signature(inputs={}, outputs={"n": digit}),
    }
    there = {
        "a": Signature(
            inputs={"x": TensorSpec("float32", (None, 784))},
            outputs={"y": TensorSpec("int64", ()), "w": digit},
        )
    }

    rows = {(row.signature, row.side, row.name): row.description for row in compare_signatures(here, there)}

    assert rows == {
        ("a", "input", "x"): "dtype and shape",
        ("a", "output", "w"): "removed",
        ("a", "output", "y"): "shape",
        ("a", "output", "z"): "added",
        ("b", "output", "n"): "added",
    }
    assert {row.change for row in compare_signatures(here, here)} == {"same"}


def test_compare_metrics_knows_which_of_them_should_fall() -> None:
    def row(here: dict[str, float], there: dict[str, float]) -> dict[str, str]:
        first, second = (
            replace(checkpoint_record("mnist"), metrics=metrics, lower_is_better=("error",))
            for metrics in (here, there)
        )
        return {found.name: found.verdict for found in compare_metrics(first, second)}

    verdicts = row(
        {
            "accuracy": 0.9,
            "error": 0.1,
            "average_error": 0.3,
            "training_loss": 1.0,
            "auc": math.nan,
            "new": 1.0,
            "f1": 0.5,
        },
        {
            "accuracy": 0.8,
            "error": 0.2,
            "average_error": 0.2,
            "training_loss": 2.0,
            "auc": 0.5,
            "old": 1.0,
            "f1": 0.5,
        },
    )

    assert verdicts == {
        "accuracy": "better", "error": "better", "average_error": "worse", "training_loss": "better",
        "auc": "", "new": "", "old": "", "f1": "same",
    }  # fmt: skip


def test_find_weights_scales_bars_to_the_largest_and_names_variables() -> None:
    def change(key: str, relative: float | None, *, equal: bool = False) -> VariableDifference:
        return VariableDifference(
            key=key,
            dtype="float32",
            shape=(2,),
            equal=equal,
            relative_change=relative,
            largest_change=relative,
        )

    changes = (change("a", 0.5), change("b", 0.1), change("c", None), change("d", 0.0, equal=True))
    found = WeightDifferences(
        model="mnist",
        version=2,
        other=1,
        variables=changes,
        unlike=(),
        only_in_version=(),
        only_in_other=(),
    )

    page = find_weights(found, {"a": "dense/kernel"})

    assert [(row.name, row.share) for row in page.rows] == [
        ("dense/kernel", 1.0),
        ("b", 0.2),
        ("c", 0.0),
        ("d", 0.0),
    ]
    assert [row.change.key for row in find_weights(found, {"a": "dense/kernel"}, "KERNEL").rows] == ["a"]


@pytest.mark.parametrize(("theme", "media"), [("dark", "@media all"), ("light", "@media not all")])
def test_in_theme_makes_the_picture_follow_the_page(theme: Any, media: str) -> None:
    picture = draw_picture(comparison(part("dense", "shared", MatMul=1)), "mnist").encode()

    themed = in_theme(picture, theme)

    assert picture.count(b"prefers-color-scheme") == 1
    assert b"prefers-color-scheme" not in themed
    assert themed.replace(media.encode(), b"@media (prefers-color-scheme: dark)") == picture


def test_object_url_leads_to_the_console_or_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    console = "https://console.cloud.google.com/storage/browser"
    assert object_url(Uri("gs://models/m/1/a b?.txt")) == f"{console}/_details/models/m/1/a%20b%3F.txt"
    assert folder_url(Uri("gs://models/m/1/")) == f"{console}/models/m/1"
    assert object_url(Uri("/work/m")) == folder_url(Uri("javascript:alert(1)")) == ""

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:4443/")
    assert object_url(Uri("gs://models/m/1/a b")) == folder_url(Uri("gs://models/m/1")) == ""
