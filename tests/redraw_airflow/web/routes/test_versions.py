"""A version's page and the page of two, of real exports and of hostile ones, by a real Airflow."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace

import httpx
import numpy as np
import pytest

from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.publish.bucket.layout import live_name, release_name
from redraw.publish.push.push import push_model
from redraw.publish.rollouts import keep_rollout
from redraw.records import Checkpoint, LivePointer, Pruned, Release
from redraw.records.files import ListedFile
from redraw.requests import PushRequest, ReexportRequest
from redraw.storage.opening import Storage, open_storage
from redraw_airflow.urls import MOUNT
from tests.paths import TESTS
from tests.publishing.exports import write_export
from tests.redraw_airflow.web.publications import (
    HOSTILE,
    compared,
    hostile_release,
    pointer_record,
    publish,
    release_record,
    rollout_record,
    version_of,
)
from tests.redraw_airflow.web.test_pages import Reader, read

LINES = (2025030112000000, 2025030212000000)
OLD = f"/models/mnist/{version_of(14)}"
SCRIPT = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
# Of a model of its own, so that no other test counts them.
HOSTILE_MODEL, HOSTILE_PLACE = "hostile", f"/models/hostile/{version_of(0)}"


@pytest.fixture(scope="session")
def lines(
    model_bucket: str, add_lines: Callable[..., list[Checkpoint]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[int, int]:
    """Two versions of `line_module`, exported, validated and pushed as a backfill does it."""
    from redraw.reexport.reexport import reexport_checkpoints

    folder = tmp_path_factory.mktemp("lines")
    checkpoints = add_lines(
        str(folder / "catalogue"), {10: "2025-03-01T12:00:00Z", 20: "2025-03-02T12:00:00Z"}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REDRAW_MODELS", "sample_models")
        patch.syspath_prepend(os.fspath(TESTS))
        reexport_checkpoints(
            ReexportRequest(
                model="line_module",
                bucket=model_bucket,
                checkpoints=tuple(checkpoints),
                out=str(folder / "scratch"),
            )
        )
    return LINES


@pytest.fixture(scope="session")
def hostile(model_bucket: str) -> None:
    """Two versions whose every attachment was written by somebody who means no good."""
    storage = open_storage(model_bucket)
    releases = [hostile_release(HOSTILE_MODEL, number) for number in (0, 1)]
    publish(storage, [attach(storage, release, hostile_attachments()) for release in releases])
    for release in releases:
        keep_rollout(storage, replace(rollout_record(release, *HOSTILE[:4]), note=HOSTILE[0], by=HOSTILE[1]))


def hostile_attachments() -> dict[str, bytes]:
    part = {"box": HOSTILE[0], "kind": HOSTILE[1], "scope": HOSTILE[2], "fate": "removed"}
    tensor = {"name": HOSTILE[0], "spec": HOSTILE[1], "signatures": [HOSTILE[2]]}
    operations = dict.fromkeys(HOSTILE, 1)
    graphs = {
        "training_operations": 1,
        "serving_operations": 1,
        "shared": 0,
        "training_inputs": HOSTILE,
        "training": [{**part, "operations": operations}],
        "serving": [{**part, "fate": "added", "operations": operations}],
        "placeholders": [tensor],
        "outputs": [tensor],
    }
    served = {"variable": HOSTILE[0], "key": HOSTILE[1], "dtype": HOSTILE[2], "shape": [1]}
    ledger = {
        "served": [{**served, "saved_as": HOSTILE[3]}],
        "dropped": [{"key": text, "rule": text} for text in HOSTILE],
    }
    said = ("owner", "license", "intended_use", "limits")
    figures = {"rows": 1, "p50_ms": 1, "p95_ms": 1, "p99_ms": 1, "rows_per_second": 1, "runs": 1}
    return {
        "graphs.svg": SCRIPT,
        "report.html": b"<script>alert(1)</script>",
        "graphs.json": json.dumps(graphs).encode(),
        "ledger.json": json.dumps(ledger).encode(),
        "latency.json": json.dumps({text: [figures] for text in HOSTILE}).encode(),
        "metrics.json": json.dumps({"against": 1, "metrics": [], "worse": HOSTILE[0]}).encode(),
        "definition.json": json.dumps(dict.fromkeys(said, HOSTILE[0]) | {"data_sets": HOSTILE}).encode(),
        "card.md": SCRIPT,
    }


def attach(storage: Storage, release: Release, contents: dict[str, bytes]) -> Release:
    """Put attachments next to a version, whatever they hold, as a push names them."""
    files = {}
    for name, content in contents.items():
        place = f"{release.model}/reports/{release.version}/{name}"
        storage.create(place, content)
        digest = hashlib.sha256(content).hexdigest()
        files[name] = ListedFile(name=place, size=len(content), crc32c=0, sha256=digest)
    return replace(release, attachments=files)


def place_of(version: int) -> str:
    return f"/models/line_module/{version}"


# Of the setting REDRAW_DOCS.
HELP = "https://docs.example/redraw/reference/checks.html#"


def assert_nothing_acts(page: Reader) -> None:
    """A page has the scripts and the handlers that its template wrote, and no other."""
    for tag, values in page.elements:
        assert not [name for name in values if name.startswith("on") or name == "style"], values
        if tag == "script":
            assert values["src"].startswith(f"{MOUNT}/static/")
        if tag == "img":
            assert values["src"].startswith(f"{MOUNT}/models/")
        for link in (values.get("href", ""), values.get("action", "")):
            assert link == "" or link.startswith(("/", "#", "http://127.0.0.1:", HELP)), link


def test_show_version_of_a_real_export_tells_all_of_it(lines: tuple[int, int], viewer: httpx.Client) -> None:
    page = read(viewer, place_of(lines[1]))

    for text in ("files-whole", "graphs-compared", "2025-03-02 12:00:00", "step 20", "saved_model.pb"):
        assert text in page.text
    assert f"{HELP}files-whole" in page.links(HELP)
    assert "dropout" in page.text  # what vanished
    assert "x float32 [None, 1] serving_default" in page.text  # what took its place
    assert "slope" in page.text
    assert "was not kept" not in page.text
    assert "p95" in page.text
    pictures = [values["src"] for tag, values in page.elements if tag == "img"]
    assert pictures == [
        f"{MOUNT}{place_of(lines[1])}/graphs.svg?theme={theme}" for theme in ("light", "dark")
    ]
    assert_nothing_acts(page)


def test_show_version_finds_checks_by_state_and_text(lines: tuple[int, int], viewer: httpx.Client) -> None:
    every = read(viewer, place_of(lines[0]))
    found = read(viewer, f"{place_of(lines[0])}?state=passed&text=GRAPHS-comp")
    none = read(viewer, f"{place_of(lines[0])}?state=failed")

    def shown(page: Reader) -> list[str]:
        return [v["id"] for _, v in page.elements if v.get("id", "").startswith("check-") and v.get("class")]

    assert len(shown(every)) > 20
    assert shown(found) == ["check-graphs-compared"]
    assert shown(none) == []
    assert f"0 of {len(shown(every))} checks" in none.text


def test_show_version_holds_its_signatures_to_another_version(
    lines: tuple[int, int], viewer: httpx.Client
) -> None:
    page = read(viewer, f"{place_of(lines[1])}?against={lines[0]}")

    assert f"Signature Tensor {lines[1]} {lines[0]} Change" in page.text
    assert viewer.get(f"{MOUNT}{place_of(lines[1])}?against=5").status_code == 404


def test_show_picture_in_a_theme_is_an_image_that_can_do_nothing(
    lines: tuple[int, int], viewer: httpx.Client
) -> None:
    answers = [
        viewer.get(f"{MOUNT}{place_of(lines[0])}/graphs.svg{query}")
        for query in ("", "?theme=light", "?theme=dark")
    ]

    for answer in answers:
        assert answer.headers["Content-Type"].startswith("image/svg+xml")
        policy = answer.headers["Content-Security-Policy"].split("; ")
        assert {"default-src 'none'", "sandbox"} <= set(policy)
        assert "script-src" not in answer.headers["Content-Security-Policy"]
    assert len({answer.text for answer in answers}) == 3
    assert viewer.get(f"{MOUNT}{place_of(lines[0])}/graphs.svg?theme=red").status_code == 422


def test_show_attachment_of_hostile_bucket_has_no_scripts_and_no_origin(
    hostile: None, viewer: httpx.Client
) -> None:
    for name, content in hostile_attachments().items():
        answer = viewer.get(f"{MOUNT}{HOSTILE_PLACE}/attachments/{name}")

        assert answer.content == content
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; ")
        assert "; sandbox;" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("name", ["live.json", "..%2f..%2flive.json", "%2e%2e", "graphs.svg%00", "x.html"])
def test_show_attachment_of_another_name_is_not_found(name: str, hostile: None, viewer: httpx.Client) -> None:
    assert viewer.get(f"{MOUNT}{HOSTILE_PLACE}/attachments/{name}").status_code == 404


def test_show_hostile_versions_escapes_all_that_they_say(hostile: None, viewer: httpx.Client) -> None:
    comparison = f"{HOSTILE_PLACE}/beside/{version_of(1)}"

    for path in (HOSTILE_PLACE, f"{HOSTILE_PLACE}/ledger?text=script", comparison):
        page = read(viewer, path)

        assert HOSTILE[0] in page.text
        assert "{{ 7 * 7 }}" in page.text or "ledger" in path
        assert_nothing_acts(page)


@pytest.mark.parametrize("part", ["", "/reexport/0"])
def test_show_hostile_batch_escapes_its_rows(part: str, viewer: httpx.Client) -> None:
    page = read(viewer, f"/runs/of_others/hostile{part}")

    for text in HOSTILE[:6]:
        assert page.text.count(text) >= 2, text
    assert_nothing_acts(page)


@pytest.fixture(scope="session")
def hostile_names(model_bucket: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of two versions whose variables have hostile names; some are only in one of them."""
    versions = []
    for day, (value, extra) in enumerate(((1.0, HOSTILE[0]), (2.0, HOSTILE[1])), 1):
        folder = tmp_path_factory.mktemp("hostile") / "model"
        (folder / "variables").mkdir(parents=True)
        with BundleWriter(folder / "variables" / "variables", durable=False) as writer:
            for text in HOSTILE:
                writer.add_array(f"both {text}", np.array([value], np.float32))
                writer.add_array(f"unlike {text}", np.zeros(day, np.float32))
            writer.add_array(f"alone {extra}", np.zeros(1, np.float32))
        export = write_export(folder, {"saved_model.pb": b"graph"}, f"2025-04-0{day}T12:00:00Z")
        request = PushRequest(
            model="digits",
            saved_model=str(export.folder),
            report=f"{export.folder}.report.json",
            bucket=model_bucket,
        )
        versions.append(push_model(request).version)
    return f"/models/digits/{versions[1]}/beside/{versions[0]}/weights"


def test_show_weights_escapes_the_names_of_variables(hostile_names: str, publisher: httpx.Client) -> None:
    page = read(publisher, hostile_names)

    for text in HOSTILE[:6]:
        assert f"both {text}" in page.text
        assert f"unlike {text}" in page.text
    assert f"alone {HOSTILE[0]}" in page.text
    assert f"alone {HOSTILE[1]}" in page.text
    assert_nothing_acts(page)


def test_show_ledger_searches_and_pages(lines: tuple[int, int], viewer: httpx.Client) -> None:
    place = f"{place_of(lines[0])}/ledger"

    assert "slope" in read(viewer, f"{place}?text=SLOPE&fate=served").text
    assert "No tensor matches" in read(viewer, f"{place}?text=nosuch").text
    assert "0 of" in read(viewer, f"{place}?text=slope%20nosuch").text
    assert viewer.get(f"{MOUNT}{place}?page=0").status_code == 422
    assert viewer.get(f"{MOUNT}{place}?text={'x' * 201}").status_code == 422


def test_show_older_version_says_what_is_not_kept(viewer: httpx.Client) -> None:
    page = read(viewer, OLD)

    for text in (
        "The restore ledger of this version was not kept",
        "The comparison of the graphs of this version was not kept",
        "The latency figures of this version were not kept",
        "The list of its files was not kept",
    ):
        assert text in page.text
    assert not [values for tag, values in page.elements if tag == "img"]
    assert page.links("/dags/") == ["/dags/retrain_and_export/runs/manual__1"]
    assert viewer.get(f"{MOUNT}{OLD}/graphs.svg").status_code == 404


def test_show_pruned_version_says_so_and_leads_to_no_objects(model_bucket: str, viewer: httpx.Client) -> None:
    pruned = Pruned(pruned_at="2026-05-01T00:00:00Z", by="cleo", reason="older than 30 days")
    publish(open_storage(model_bucket), [replace(release_record("pruned", 3), pruned=pruned)])

    page = read(viewer, f"/models/pruned/{version_of(3)}")

    assert "removed at 2026-05-01 00:00:00 by cleo: older than 30 days" in page.text
    assert f"gs://models/pruned/{version_of(3)}" in page.text
    assert not [link for link in page.links("http") if "/models/o" in link]


def test_show_version_says_what_the_servers_showed_when_they_were_last_asked(
    model_bucket: str, viewer: httpx.Client
) -> None:
    storage, release = open_storage(model_bucket), release_record("rolledout", 1)
    publish(storage, [release])
    place = f"/models/rolledout/{version_of(1)}"
    assert "Servers" not in read(viewer, place).text

    seen = rollout_record(release)
    keep_rollout(storage, seen)
    page = read(viewer, place)
    for text in (
        "Servers",
        "not confirmed",
        "2026-05-01 00:00:00 for 4.5 s",
        "other version",
        "1.2 s",
        "grpc://models:8500",
        "10.0.0.7:8500",
        "version 7 loaded",
        "Wait longer.",
        f"Rolled back to {version_of(0)}",
    ):
        assert text in page.text

    keep_rollout(storage, replace(seen, confirmed=True, rolled_back_to=None, servers=()))
    assert "confirmed by 0 servers" in read(viewer, place).text

    storage.create(f"rolledout/reports/{version_of(1)}/{'f' * 16}-rollout.json", b'{"record": 7}')
    page = read(viewer, place)
    assert "expected a Rollout record, got 7" in page.text
    assert "files-whole" in page.text


def test_show_version_with_damaged_attachments_shows_the_rest(
    model_bucket: str, viewer: httpx.Client
) -> None:
    storage = open_storage(model_bucket)
    contents = {"graphs.json": b"[" * 50_000, "ledger.json": b'{"served": 7}', "latency.json": b"null"}
    contents["metrics.json"] = b'{"against": {}, "metrics": []}'
    contents["definition.json"] = b'{"schema": 1, "data_sets": {}}'
    damaged = attach(storage, release_record("damaged", 0), contents)
    listed = replace(damaged.attachments["latency.json"], sha256="0" * 64)
    publish(storage, [replace(damaged, attachments={**damaged.attachments, "latency.json": listed})])

    page = read(viewer, f"/models/damaged/{version_of(0)}")

    assert page.text.count("expected an attachment that") == 3
    assert "metrics.json: expected measurements that" in page.text
    assert "Do not trust this file" in page.text
    assert "files-whole" in page.text


def test_show_newer_records_says_so_in_their_place_and_shows_the_rest(
    model_bucket: str, viewer: httpx.Client
) -> None:
    storage, model = open_storage(model_bucket), "newer"
    publish(storage, [release_record(model, day) for day in (0, 1, 3)])
    for name, record in (
        (release_name(model, version_of(2)), release_record(model, 2)),
        (live_name(model), pointer_record(model, 2)),
    ):
        storage.create(name, json.dumps(record.to_json() | {"schema": 99}).encode())

    listed = read(viewer, f"/models/{model}")
    version = read(viewer, f"/models/{model}/{version_of(1)}?against={version_of(2)}")

    assert "The live version cannot be shown" in listed.text
    rows = [listed.text.index(str(version_of(day))) for day in (3, 2, 1, 0)]
    assert rows == sorted(rows)
    for record, page in ((LivePointer, listed), (Release, listed), (LivePointer, version)):
        known = f"{record.__name__} record: expected schema {record.schema} or older, got 99"
        assert known in page.text
    assert {f"{MOUNT}/models/{model}/{version_of(day)}" for day in (0, 1)} <= set(listed.links(MOUNT))
    assert f"Release record: expected schema {Release.schema} or older, got 99" in version.text
    assert "files-whole" in version.text
    assert "mnist" in read(viewer, "/models").text


@pytest.mark.parametrize(
    "path",
    [
        "/models/mnist/5",
        f"/models/mnist/{version_of(14)}/beside/5",
        f"/models/nosuch/{version_of(14)}",
        f"/models/Mnist/{version_of(14)}",
        f"/models/..%2fmnist/{version_of(14)}",
        f"/models/Mnist/{version_of(14)}/choose?other=1",
        f"/models/Mnist/{version_of(14)}/beside/5/weights",
        f"/models/%2e%2e/{version_of(14)}/ledger",
        f"/models/%2e%2e/{version_of(14)}/graphs.svg",
    ],
)
def test_show_what_is_not_there_is_not_found(path: str, publisher: httpx.Client) -> None:
    answer = publisher.get(MOUNT + path)

    assert answer.status_code == 404
    # A page of Redraw's says so; only the slash leads to no route.
    assert ("expected" in Reader(answer.text).text) == ("%2f" not in path)


@pytest.mark.parametrize("version", ["x", "-1", "9" * 30, "9" * 5000, "1.5", "%00"])
def test_show_version_that_is_no_number_is_not_found(version: str, publisher: httpx.Client) -> None:
    for path in (f"/models/mnist/{version}", f"{OLD}/beside/{version}", f"{OLD}/beside/{version}/weights"):
        answer = publisher.get(MOUNT + path)
        assert answer.status_code == 404
        assert "expected a version number" in Reader(answer.text).text
    assert publisher.get(f"{MOUNT}{OLD}/choose?other={version}").status_code == 422


def test_choose_version_leads_to_it_or_beside_it(viewer: httpx.Client) -> None:
    other = version_of(13)

    alone = viewer.get(f"{MOUNT}{OLD}/choose?other={other}")
    chosen = viewer.get(f"{MOUNT}{OLD}/choose?other={other}&show=beside")

    assert (alone.status_code, alone.headers["Location"]) == (303, f"{MOUNT}/models/mnist/{other}")
    assert chosen.headers["Location"] == f"{MOUNT}{OLD}/beside/{other}"


def test_show_comparison_offers_every_other_version(viewer: httpx.Client) -> None:
    page = read(viewer, f"{OLD}/beside/{version_of(13)}")

    offered = [int(values["value"]) for tag, values in page.elements if tag == "option"]
    assert len(offered) == 59
    assert version_of(14) not in offered
    assert "accuracy 0.9140 0.9130 +0.001 better" in page.text
    assert "lower is better 0.03333 0.03571 \N{MINUS SIGN}0.002381 better" in page.text


def test_show_comparison_of_real_exports_tells_equal_graphs(
    lines: tuple[int, int], viewer: httpx.Client
) -> None:
    page = read(viewer, f"{place_of(lines[1])}/beside/{lines[0]}")

    assert "Both serve the same operations in every layer" in page.text
    assert f"Latency {lines[1]}" in page.text


def test_show_weights_has_a_worker_compare_them(lines: tuple[int, int], publisher: httpx.Client) -> None:
    place = f"{place_of(lines[1])}/beside/{lines[0]}/weights"

    page = read(publisher, place)

    assert "2 of 2 variables" in page.text
    assert "slope" in page.text
    widths = [float(values["width"]) for tag, values in page.elements if tag == "rect"]
    assert max(widths) == 100
    assert "1 of 2 variables" in read(publisher, f"{place}?text=SLOPE").text


def test_show_weights_of_versions_without_objects_says_why(publisher: httpx.Client) -> None:
    answer = publisher.get(f"{MOUNT}{OLD}/beside/{version_of(13)}/weights")

    assert answer.status_code == 404
    assert "expected a published version" in Reader(answer.text).text


def test_show_hostile_query_is_escaped(hostile: None, viewer: httpx.Client) -> None:
    for text in HOSTILE[:3]:
        for path in (OLD, f"{OLD}/ledger", HOSTILE_PLACE, f"{HOSTILE_PLACE}/ledger"):
            answer = viewer.get(MOUNT + path, params={"text": text, "state": text, "fate": text})
            assert answer.status_code == 200, path
            assert_nothing_acts(Reader(answer.text))


def test_show_comparison_tells_operations_and_signatures_that_differ(
    model_bucket: str, viewer: httpx.Client
) -> None:
    storage = open_storage(model_bucket)

    def graphs(**operations: int) -> bytes:
        part = {"box": "dense", "kind": "network", "scope": "dense", "fate": "shared"}
        sums = {"training_operations": 9, "serving_operations": 3, "shared": 3, "training_inputs": []}
        parts = {"training": [], "serving": [{**part, "operations": operations}]}
        return json.dumps({**sums, **parts, "placeholders": [], "outputs": []}).encode()

    newer, older = release_record("changed", 1), release_record("changed", 0)
    newer = replace(newer, signatures={"serving_default": newer.signatures["serving_default"]})
    kept = ((newer, graphs(MatMul=2, Relu=1)), (older, graphs(MatMul=1, Relu=1)))
    answers = {"answers.json": replace(compared(older.version), model="changed").to_bytes()}
    publish(
        storage, [attach(storage, release, {"graphs.json": content, **answers}) for release, content in kept]
    )

    page = read(viewer, f"/models/changed/{newer.version}/beside/{older.version}")
    back = read(viewer, f"/models/changed/{older.version}/beside/{newer.version}")

    assert "3 golden rows; floats that differ by at most 0.01" in page.text
    assert "digit serve, int64 1 of 3 33.3 % 2 0.5 1" in page.text
    assert f"{HOSTILE[0]} 7 1" in page.text
    drawn = [tag for tag, values in page.elements if "dot" in values.get("class", "")]
    assert (drawn.count("circle"), drawn.count("rect")) == (2, 2)
    assert_nothing_acts(page)
    assert f"{older.version} was not compared with {newer.version}" in back.text
    assert "1 difference by layer and type of operation" in page.text
    assert "dense MatMul 2 1" in page.text
    assert "serving_png input png none string [None] removed" in page.text
    assert "serving_default input image uint8 [None, 28, 28] uint8 [None, 28, 28] same" in page.text
