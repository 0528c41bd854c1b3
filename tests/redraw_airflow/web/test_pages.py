from __future__ import annotations

import html
import re
from collections.abc import Callable
from html.parser import HTMLParser

import httpx
import pytest

from redraw_airflow.urls import MOUNT
from tests.redraw_airflow.web.publications import HOSTILE, version_of


class Reader(HTMLParser):
    """What a browser makes of a page: its elements with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def links(self, start: str) -> list[str]:
        return [values["href"] for tag, values in self.elements if values.get("href", "").startswith(start)]


def read(client: httpx.Client, path: str) -> Reader:
    answer = client.get(MOUNT + path)
    assert answer.status_code == 200, answer.text
    return Reader(answer.text)


def row_of(client: httpx.Client, model: str) -> str:
    page = client.get(f"{MOUNT}/models").text
    (row,) = re.findall(rf'<tr>\s*<th scope="row"><a href="[^"]*/models/{model}">.*?</tr>', page, re.DOTALL)
    return Reader(row).text


def test_show_models_says_what_is_live_and_how_many(viewer: httpx.Client) -> None:
    row = row_of(viewer, "mnist")

    assert str(version_of(14)) in row
    assert "accuracy" in row
    assert row.endswith("60 2"), row  # versions, and checkpoints that have a record


def test_show_models_finds_the_last_run_of_each(viewer: httpx.Client) -> None:
    page = read(viewer, "/models")

    # The newest that left a record of the model, whatever its DAG; or that names it in its parameters.
    assert page.links("/dags/") == [
        "/dags/of_others/runs/malformed-others",
        "/dags/retrain_and_export/runs/named",
    ]
    assert "failed" in row_of(viewer, "recommender")
    assert row_of(viewer, "digits_graph").endswith("not published")


def test_show_models_says_the_trend_in_words_too(viewer: httpx.Client, until: Callable[..., None]) -> None:
    def lines() -> list[dict[str, str]]:
        return [
            values for _, values in read(viewer, "/models").elements if values.get("class") == "sparkline"
        ]

    # The page waits a moment for older versions; what is read later is there the next time.
    until(lambda: "the last 20 versions" in lines()[0]["aria-label"], "the trend", 60)
    assert lines()[0]["aria-label"].startswith(
        "accuracy of the last 20 versions, the oldest first: 0.94, 0.941"
    )
    assert lines()[0]["role"] == "img"


def test_show_model_pages_through_its_versions(viewer: httpx.Client) -> None:
    pages = [viewer.get(f"{MOUNT}/models/mnist?page={number}").text for number in (1, 2, 3)]

    shown = [re.findall(r'<th scope="row".*?>(\d{16})</a>', page) for page in pages]
    assert shown[0] == [str(version_of(day)) for day in range(59, 34, -1)]
    assert shown[2] == [str(version_of(day)) for day in range(9, -1, -1)]
    first = Reader(pages[0])
    assert "Page 1 of 3" in first.text
    assert first.links(f"{MOUNT}/models/mnist?page=") == [f"{MOUNT}/models/mnist?page=2"]
    assert "There is no such page" in read(viewer, "/models/mnist?page=99999999999999999999").text
    assert viewer.get(f"{MOUNT}/models/mnist?page=0").status_code == 422


def test_show_model_labels_its_versions(viewer: httpx.Client) -> None:
    page = "".join(viewer.get(f"{MOUNT}/models/mnist?page={number}").text for number in (1, 2, 3))
    labels = {
        int(version): re.findall(r'class="label (\w+)"', cell)
        for version, cell in re.findall(r"<th scope=\"row\".*?>(\d{16})</a>(.*?)</th>", page, re.DOTALL)
    }

    assert labels[version_of(14)] == ["live"]
    assert labels[version_of(13)] == ["previous"]
    assert labels[version_of(15)] == ["canary"]
    assert labels[version_of(0)] == ["pinned"]
    assert labels[version_of(20)] == []


def test_show_model_says_who_moved_the_pointer_and_why(viewer: httpx.Client) -> None:
    page = read(viewer, "/models/mnist").text

    assert f"rolled back to {version_of(14)} bea wrong digits" in page
    assert "5 earlier changes" in page


def test_show_model_offers_requests_to_copy(viewer: httpx.Client) -> None:
    page = read(viewer, "/models/mnist").text

    assert "[[[0] * 28] * 28]" in page
    assert "http://HOST:8501/v1/models/mnist:predict" in page
    assert '{"b64": "ZXhhbXBsZQ=="}' in page


def test_show_charts_draws_every_version_with_its_value(viewer: httpx.Client) -> None:
    page = read(viewer, "/models/mnist/charts?metric=loss")

    points = [
        values["aria-label"] for tag, values in page.elements if values.get("class", "").startswith("point")
    ]
    assert len(points) == 2 * 60
    assert points[0] == f"{version_of(0)}: 0.5"
    assert points[-1] == f"{version_of(59)}: 519.36 kB"
    chosen = [values["value"] for tag, values in page.elements if tag == "option" and "selected" in values]
    assert chosen == ["loss"]


def test_show_charts_of_an_unknown_metric_shows_the_headline(viewer: httpx.Client) -> None:
    assert "accuracy of each version" in read(viewer, "/models/mnist/charts?metric=nosuch").text


@pytest.mark.parametrize(
    "model", ["nosuch", "Mnist", "%2e%2e", "..%2fmnist", "mnist%00", "a" * 64, "%3Cscript%3E"]
)
@pytest.mark.parametrize("page", ["", "/charts"])
def test_show_model_of_an_unknown_or_odd_name_is_not_found(
    model: str, page: str, viewer: httpx.Client
) -> None:
    answer = viewer.get(f"{MOUNT}/models/{model}{page}")

    assert answer.status_code == 404
    assert "<script>" not in answer.text.replace("<script src", "")


def test_show_model_without_versions_says_how_to_get_one(viewer: httpx.Client) -> None:
    page = read(viewer, "/models/recommender")

    assert "No version is published yet" in page.text
    assert page.links("/dags/") == ["/dags/retrain_and_export/runs/named", "/dags/retrain_and_export"]


def test_show_run_has_a_card_for_each_record(viewer: httpx.Client) -> None:
    page = read(viewer, "/runs/retrain_and_export/silent")

    cards = [values["aria-label"] for tag, values in page.elements if tag == "section"]
    assert sorted(cards) == ["checkpoint", "confirm_rollout", "export", "push", "validate"]
    assert "not confirmed" in page.text
    assert "grpc://models:8500 (10.0.0.7:8500) other version: version 7 loaded. Wait longer." in page.text
    assert f"/plugin/models{MOUNT}/models/mnist/{version_of(0)}" in page.links("/plugin/")
    assert "NaN in dense/kernel" in page.text
    assert "8 variables served, 19 tensors dropped" in page.text


def test_show_run_of_a_reexport_sums_up(viewer: httpx.Client) -> None:
    page = read(viewer, "/runs/reexport_checkpoints/backfill").text

    assert "1 exported, 1 already there, 1 failed" in page
    assert page.index("a part is missing") < page.index("gs://checkpoints/mnist/1")
    assert page.count("1 exported, 1 already there, 1 failed") == 1  # the summary, and not its batches again
    assert "summary failed The reason is in" in page


@pytest.mark.parametrize("run", ["theirs", "nosuch"])
def test_show_run_of_others_says_that_nothing_is_in_it(run: str, viewer: httpx.Client) -> None:
    page = read(viewer, f"/runs/of_others/{run}")

    assert "No task of this run has written a record of Redraw" in page.text
    assert not [tag for tag, _ in page.elements if tag == "section"]


def test_show_task_tells_a_report_check_by_check(viewer: httpx.Client) -> None:
    page = read(viewer, "/runs/retrain_and_export/silent/validate/%7BMAP_INDEX%7D")

    assert "finite-weights failed NaN in dense/kernel Train again. finite the weights" in page.text


def test_show_run_and_task_tell_how_far_answers_are_apart(viewer: httpx.Client) -> None:
    short = read(viewer, "/runs/of_others/compared")
    full = read(viewer, "/runs/of_others/compared/compare/-1")

    assert (
        f"mnist : this export compared with {version_of(0)} , 3 rows. digit 1 row changed, 33.3 %"
        in short.text
    )
    assert "digit serve, int64 1 of 3 33.3 % 2 0.5 1" in full.text
    assert [tag for tag, values in full.elements if "dot" in values.get("class", "")].count("circle") == 2


def test_show_task_tells_where_the_tensors_went(viewer: httpx.Client) -> None:
    page = read(viewer, "/runs/retrain_and_export/silent/export").text

    assert "Dropped: optimizer 17" in page
    assert "Dropped: training state 2" in page
    assert "Redraw 0.1.0, TensorFlow 2.21.0" in page


def test_show_mapped_task_tells_its_own_batch(viewer: httpx.Client) -> None:
    page = read(viewer, "/runs/reexport_checkpoints/backfill/reexport/0")

    assert "a part is missing" in page.text
    assert "reexport [0] failed The reason is in" in page.text
    assert set(page.links("/dags/")) == {"/dags/reexport_checkpoints/runs/backfill/tasks/reexport/mapped/0"}
    assert viewer.get(f"{MOUNT}/runs/reexport_checkpoints/backfill/reexport/x").status_code == 422


def test_show_task_of_an_unknown_record_says_what_is_wrong(viewer: httpx.Client) -> None:
    page = read(viewer, "/runs/of_others/hostile/older")

    assert "cannot be read" in page.text
    assert "unknown key" in page.text


@pytest.mark.parametrize(
    "path",
    [
        "/models",
        "/models/text_classifier",
        "/models/text_classifier/charts",
        "/models/mnist/charts?metric=%3Cscript%3Ealert(1)%3C/script%3E",
        "/runs/of_others/hostile",
        "/runs/of_others/hostile/push",
        "/runs/of_others/hostile/validate",
        "/runs/of_others/hostile/older",
        "/runs/%3Cscript%3Ealert(1)%3C%2Fscript%3E/%22onload=%22",
        "/runs/of_others/theirs/%3Cimg%20src=x%20onerror=alert(1)%3E",
    ],
)
def test_show_hostile_names_makes_no_element_of_them(path: str, viewer: httpx.Client) -> None:
    page = read(viewer, path)

    assert {tag for tag, values in page.elements if "alert" in "".join(values)} == set()
    assert all(values.get("src") for tag, values in page.elements if tag == "script")
    assert not [tag for tag, _ in page.elements if tag in ("img", "iframe", "object", "style")]
    for _, values in page.elements:
        assert not [name for name in values if name.startswith("on") or name == "style"]
        link = values.get("href", values.get("src", "/"))
        assert link.startswith(("/", "#")), link
        assert "/../" not in link


def test_show_hostile_names_shows_them_as_they_are(viewer: httpx.Client) -> None:
    page = viewer.get(f"{MOUNT}/models/text_classifier").text

    charts = viewer.get(f"{MOUNT}/models/text_classifier/charts").text  # where each metric is named

    assert html.escape(HOSTILE[0], quote=False) in charts.replace("&#39;", "'")
    assert "{{ 7 * 7 }}" in charts
    assert not re.search(r"\b49\b", Reader(page).text)


def test_link_to_a_task_leads_out_of_the_frame(viewer: httpx.Client) -> None:
    for path in ("/models", "/models/mnist", "/runs/retrain_and_export/silent"):
        for tag, values in read(viewer, path).elements:
            if tag == "a" and values.get("href", "").startswith(("/dags/", "/plugin/")):
                assert "data-outer" in values
