"""A training is watched in the tab of its run and of its task, while it runs."""

from __future__ import annotations

import httpx
import pytest

from redraw_airflow.urls import MOUNT
from tests.redraw_airflow.web.test_pages import Reader, read

PART = f"{MOUNT}/runs/of_others/{{}}/fit/-1/progress"


def live(page: Reader) -> list[str]:
    """The addresses that the page asks again."""
    return [values["data-live"] for _, values in page.elements if "data-live" in values]


@pytest.mark.parametrize("path", ["", "/fit/%7BMAP_INDEX%7D", "/fit/-1/progress"])
def test_show_training_that_runs_has_step_speed_curve_and_evaluations(
    path: str, viewer: httpx.Client
) -> None:
    page = read(viewer, f"/runs/of_others/training{path}")

    assert "mnist: step 500 of 1,000, 20 steps a second, about 25 s left" in page.text
    assert live(page) == [PART.format("training")]
    (bar,) = (values for tag, values in page.elements if tag == "progress")
    assert (bar["max"], bar["value"]) == ("1000", "500")
    (curve,) = (values["d"] for tag, values in page.elements if values.get("class") == "line")
    assert curve.count("L") == 4
    assert len([tag for tag, values in page.elements if values.get("class") == "dot second"]) == 5
    assert page.links("https://") == ["https://board.example/?run=a-run"]
    # The hostile name of a metric is text.
    assert not [tag for tag, values in page.elements if tag == "script" and not values.get("src")]


def test_show_training_before_its_first_step_has_the_link_already(viewer: httpx.Client) -> None:
    page = read(viewer, "/runs/of_others/about-to-train")

    assert "preparing the first steps" in page.text
    assert page.links("https://") == ["https://board.example/?run=a-run"]
    assert live(page) == [PART.format("about-to-train")]


def test_show_training_that_has_ended_is_not_asked_again(viewer: httpx.Client) -> None:
    for path in ("/runs/of_others/trained", "/runs/of_others/trained/fit/-1/progress"):
        page = read(viewer, path)
        assert live(page) == []
        assert "fit ended" in page.text
