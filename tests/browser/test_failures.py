"""What a person sees and does when a run failed. In order: each test goes on where the one before ended."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest
from playwright.sync_api import FrameLocator, Page, expect

from redraw_airflow.standalone.airflow_api import AirflowApi
from tests.browser.conftest import NARROW, KeepPicture, LogIn
from tests.chromium import tab_to

DAG, AGAIN = "retrain_and_export", "validate_and_publish"
# Its definition sets a threshold for what no evaluation measures.
MODEL, CHECK = "line_unsure", "metric-thresholds"
# So long a run may stand still.
SECONDS = 400

pytestmark = pytest.mark.timeout(1800)


def _ended(api: AirflowApi, dag: str, run: str, until: Callable[..., None]) -> str:
    def states() -> list[str]:
        return [task.state for task in api.tasks(dag, run)]

    def ended() -> bool:
        return api.dag_run(dag, run).state in {"success", "failed"}

    until(ended, f"the end of {run}", SECONDS, every=1, progress=states)
    return api.dag_run(dag, run).state


def _runs(api: AirflowApi) -> list[str]:
    return [run["dag_run_id"] for run in api._get(f"dags/{DAG}/dagRuns?limit=100")["dag_runs"]]


def test_form_starts_a_run_by_the_keyboard_alone(
    log_in: LogIn, airflow_api: AirflowApi, until: Callable[..., None]
) -> None:
    page, before = log_in(), _runs(airflow_api)
    page.goto(f"/dags/{DAG}")
    tab_to(page, page.get_by_role("button", name="Trigger").first, own=False)
    page.keyboard.press("Enter")
    form = page.get_by_role("dialog")
    tab_to(page, form.locator("#element_model input").first, own=False)
    page.keyboard.type(MODEL)
    page.keyboard.press("Enter")
    tab_to(page, form.get_by_role("button", name="Trigger"), own=False)
    page.keyboard.press("Enter")

    until(lambda: _runs(airflow_api) != before, "the run of the form", 60, every=0.5)
    (started,) = set(_runs(airflow_api)) - set(before)
    run = f"dags/{DAG}/dagRuns/{quote(started)}"
    assert airflow_api._get(run)["conf"]["model"] == MODEL
    # The DAG has one run at a time: the next one would wait for all that is left of it.
    airflow_api._send("PATCH", run, {"state": "failed"})


@pytest.fixture(scope="module")
def failed_run(airflow_api: AirflowApi, until: Callable[..., None]) -> str:
    """A run whose validation failed, with an XCom that says so."""
    conf = {"model": MODEL, "make_live": False}
    run = airflow_api.trigger(DAG, conf=conf).run_id
    assert _ended(airflow_api, DAG, run, until) == "failed"
    return run


def _tab(page: Page, run: str) -> FrameLocator:
    page.goto(f"/dags/{DAG}/runs/{quote(run, safe='')}/plugin/redraw")
    return page.frame_locator("iframe")


def test_failed_validation_leaves_its_report_for_branches_and_notifiers(
    airflow_api: AirflowApi, failed_run: str
) -> None:
    path = f"dags/{DAG}/dagRuns/{quote(failed_run)}/taskInstances/validate/xcomEntries"
    report = airflow_api._get(f"{path}/report?deserialize=true")["value"]
    failure = airflow_api._get(f"{path}/failure?deserialize=true")["value"]

    assert report["passed"] is False
    assert [check["status"] for check in report["checks"] if check["name"] == CHECK] == ["not_run"]
    assert (failure["error"], failure["stage"], failure["retryable"]) == (
        "ValidationFailed",
        "validate",
        False,
    )


def test_tab_of_a_failed_run_shows_first_which_check_failed_and_the_graphs(
    log_in: LogIn, keep_picture: KeepPicture, failed_run: str
) -> None:
    for size, dark in ((None, False), (None, True), (NARROW, False)):
        page = log_in(**({"size": size} if size else {}), dark=dark)
        frame = _tab(page, failed_run)
        expect(frame.get_by_role("row", name=CHECK)).to_be_visible()
        picture = frame.locator(".picture img").nth(int(dark))
        picture.scroll_into_view_if_needed()
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("picture => picture.naturalWidth") > 0
        assert frame.locator("html").evaluate("page => page.scrollWidth <= page.clientWidth")
        keep_picture(page, f"failed-{'dark' if dark else 'narrow' if size else 'light'}")


def test_viewer_of_a_failed_run_is_offered_no_button(log_in: LogIn, failed_run: str) -> None:
    frame = _tab(log_in("viewer"), failed_run)

    expect(frame.get_by_role("row", name=CHECK)).to_be_visible()
    expect(frame.get_by_role("button", name="Run it again")).to_have_count(0)


def test_validation_again_with_a_waiver_publishes_without_training_by_the_keyboard_alone(
    log_in: LogIn, airflow_api: AirflowApi, failed_run: str, until: Callable[..., None]
) -> None:
    page = log_in()
    frame = _tab(page, failed_run)
    tab_to(page, frame.get_by_role("button", name="Validate again with a waiver").first)
    page.keyboard.press("Enter")
    dialog = frame.get_by_role("dialog")
    # What a dialog begins with has the focus when it opens.
    page.keyboard.press("Shift+Tab")
    tab_to(page, dialog.get_by_label(f"Waive {CHECK}"))
    page.keyboard.press("Space")
    tab_to(page, dialog.get_by_label("Reason"))
    page.keyboard.type("nobody measures it yet")
    tab_to(page, dialog.get_by_role("button", name="Validate again with a waiver"))
    page.keyboard.press("Enter")
    expect(dialog.get_by_text("The run has started.")).to_be_visible()

    (run,) = airflow_api._get(f"dags/{AGAIN}/dagRuns?limit=10")["dag_runs"]
    assert _ended(airflow_api, AGAIN, run["dag_run_id"], until) == "success"
    release = airflow_api.result(AGAIN, run["dag_run_id"], "push")
    assert release["report"]["waivers"] == {CHECK: "nobody measures it yet"}
    assert release["provenance"]["asked_by"] == "admin"


def test_version_is_made_live_by_the_keyboard_alone(log_in: LogIn, airflow_api: AirflowApi) -> None:
    page = log_in()
    (run,) = airflow_api._get(f"dags/{AGAIN}/dagRuns?limit=10")["dag_runs"]
    version = airflow_api.result(AGAIN, run["dag_run_id"], "push")["version"]
    page.goto(f"/plugin/models/redraw/models/{MODEL}/{version}")
    frame = page.frame_locator("iframe")
    expect(frame.locator("h1 .label.live")).to_have_count(0)
    tab_to(page, frame.get_by_role("button", name="Make live"))
    page.keyboard.press("Enter")
    dialog = frame.get_by_role("dialog")
    page.keyboard.press("Shift+Tab")
    tab_to(page, dialog.get_by_label("Reason"))
    page.keyboard.type("it serves well")
    tab_to(page, dialog.get_by_role("button", name="Make live"))
    page.keyboard.press("Enter")

    expect(frame.locator("h1 .label.live")).to_be_visible(timeout=300_000)
    expect(frame.get_by_text("it serves well")).to_be_visible()


def test_training_is_watched_live_to_its_end(
    log_in: LogIn, keep_picture: KeepPicture, airflow_api: AirflowApi, failed_run: str
) -> None:
    run = airflow_api.trigger(DAG, conf={"model": "line_slow"}).run_id
    page = log_in()
    frame = _tab(page, run)
    # Before the task has started there is nothing to follow yet.
    part = frame.locator("[data-live]")
    while not part.count():
        page.wait_for_timeout(1000)
        page.reload()
        frame.locator("main").wait_for()
    expect(part).to_contain_text("of 600")
    expect(part).to_contain_text("Evaluations", timeout=180_000)
    keep_picture(page, "training")
    expect(frame.get_by_text("Trained to step")).to_be_visible(timeout=300_000)
    expect(frame.locator("[data-live]")).to_have_count(0)
