"""What a person sees and does in Airflow. In order: each test goes on where the one before ended."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import FrameLocator, Page, expect

from redraw.publish.live.set_live import change_live
from redraw.publish.releases import list_releases
from redraw.records import LivePointer, Release, ReleaseList
from redraw.requests import LiveRequest, ReleasesRequest
from redraw_airflow.standalone.airflow_api import AirflowApi
from redraw_airflow.standalone.settings import Settings
from tests.browser.conftest import NARROW, KeepPicture, LogIn
from tests.chromium import find_serious
from tests.embedded import reach_storage

MODEL = "mnist"
RETRAIN = "retrain_and_export"
# All tasks of the DAG but the approval, which nobody asked for.
TASKS_RUN = 5
# In milliseconds: a whole run of the shipped model, on a busy machine.
RUN = 120_000

pytestmark = pytest.mark.timeout(600)

# What can be wrong in a parameter's title or description: the rest of a form is Airflow's own.
OUR_TEXTS = ("link-name", "link-in-text-block", "image-alt", "empty-heading", "list", "listitem")


@pytest.fixture(scope="module")
def bucket(airflow_api: AirflowApi, embedded_settings: Settings) -> Iterator[str]:
    """The model bucket of the embedded default, reached as it is by everybody else."""
    with pytest.MonkeyPatch.context() as patch:
        reach_storage(patch, embedded_settings)
        yield embedded_settings.model_bucket


@pytest.fixture(scope="module")
def asking_run(airflow_api: AirflowApi) -> str:
    """A run that will ask whether to publish; other tests go on meanwhile."""
    return airflow_api.trigger(RETRAIN, conf={"model": "line_module", "approval": "yes"}).run_id


def frame_of(page: Page) -> FrameLocator:
    """The frame that holds Redraw's pages."""
    return page.frame_locator("iframe")


def place(release: Release) -> str:
    """A version's page inside Airflow's."""
    return f"/plugin/models/redraw/models/{MODEL}/{release.version}"


def run_ids(api: AirflowApi) -> set[str]:
    """The runs of the DAG that there are."""
    return {run["dag_run_id"] for run in api._get(f"dags/{RETRAIN}/dagRuns?limit=100")["dag_runs"]}


def run_state(api: AirflowApi, run: str) -> str:
    """How far a run is."""
    return str(api._get(f"dags/{RETRAIN}/dagRuns/{quote(run)}")["state"])


def published(bucket: str) -> ReleaseList:
    """What is in the bucket, the newest weights first."""
    return list_releases(ReleasesRequest(model=MODEL, bucket=bucket))


def pointer(bucket: str) -> LivePointer:
    """Which version is live."""
    return change_live(LiveRequest(model=MODEL, bucket=bucket))


def test_form_trigger_runs_to_a_new_live_version(
    log_in: LogIn, keep_picture: KeepPicture, bucket: str, airflow_api: AirflowApi, until: Callable[..., None]
) -> None:
    page = log_in()
    before, runs = published(bucket), run_ids(airflow_api)

    page.goto(f"/dags/{RETRAIN}")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    # What has to be chosen is open, and nothing is trained that nobody chose.
    expect(form.get_by_text("The model to train, by its definition.")).to_be_visible()
    expect(form.get_by_role("button", name="Trigger")).to_be_disabled()
    form.locator("#element_model input").first.fill(MODEL)
    page.keyboard.press("Enter")
    keep_picture(page, "form")
    form.get_by_role("button", name="Trigger").click()
    until(lambda: run_ids(airflow_api) != runs, "the run of the form", 60, every=0.5)
    (run,) = run_ids(airflow_api) - runs
    page.goto(f"/dags/{RETRAIN}/runs/{run}")
    expect(page.get_by_text("Running", exact=True).first).to_be_visible()
    # Nobody looks on: drawing what moves there would take a core from the run.
    page.goto("about:blank")
    until(lambda: run_state(airflow_api, run) in {"success", "failed"}, "the end of the run", 400, every=1)
    page.goto(f"/dags/{RETRAIN}/runs/{run}")

    expect(page.get_by_text("Success", exact=True)).to_have_count(1 + TASKS_RUN)
    after = published(bucket)
    assert len(after.releases) == len(before.releases) + 1
    assert after.live == after.releases[0].version != before.live


def test_navigation_models_leads_to_the_version_and_its_graphs(
    log_in: LogIn, keep_picture: KeepPicture, bucket: str
) -> None:
    page, newest = log_in(), published(bucket).releases[0]

    page.goto("/")
    page.get_by_role("link", name="Models", exact=True).click()
    frame = frame_of(page)
    expect(frame.get_by_role("link", name=MODEL, exact=True)).to_be_visible()
    keep_picture(page, "models")
    frame.get_by_role("link", name=MODEL, exact=True).click()
    expect(frame.get_by_role("heading", name="Versions")).to_be_visible()
    expect(page).to_have_url(re.compile(rf"/plugin/models/redraw/models/{MODEL}$"))
    expect(frame.locator(".chart svg").first).to_be_visible()
    keep_picture(page, "model")
    frame.get_by_role("table").first.get_by_role("link", name=str(newest.version)).click()
    expect(frame.get_by_role("heading", name=f"{MODEL} {newest.version}")).to_be_visible()
    keep_picture(page, "version")

    picture = frame.locator("#graphs-view img, .graphs img").first
    picture.scroll_into_view_if_needed()
    expect(picture).to_have_js_property("complete", True)
    assert picture.evaluate("picture => picture.naturalWidth") > 0
    keep_picture(page, "graphs")


def test_two_versions_beside_each_other_show_how_far_their_weights_are_apart(
    log_in: LogIn, keep_picture: KeepPicture, bucket: str
) -> None:
    page, (newest, older) = log_in(), published(bucket).releases[:2]

    page.goto(f"{place(newest)}/beside/{older.version}")
    frame = frame_of(page)
    frame.get_by_role("link", name="Compare the weights").click()

    rows = frame.locator("#weights table.names tbody tr")
    expect(rows).to_have_count(newest.ledger.served)
    expect(rows.first.locator("rect")).to_have_attribute("width", "100.00")
    rows.first.scroll_into_view_if_needed()
    keep_picture(page, "beside")


def test_make_live_by_the_button_moves_the_pointer_in_the_name_of_the_user(
    log_in: LogIn, keep_picture: KeepPicture, bucket: str
) -> None:
    page, (newest, older) = log_in(), published(bucket).releases[:2]
    assert pointer(bucket).version == newest.version

    page.goto(place(older))
    frame = frame_of(page)
    frame.get_by_role("button", name="Make live").click()
    dialog = frame.get_by_role("dialog")
    dialog.get_by_label("Reason", exact=True).fill("the newer one misreads sevens")
    keep_picture(page, "acting")
    dialog.locator("button[type=submit]").click()
    expect(frame.locator("h1 .label.live")).to_be_visible(timeout=RUN)

    moved = pointer(bucket)
    assert moved.version == older.version
    assert (moved.history[-1].by, moved.history[-1].reason) == ("admin", "the newer one misreads sevens")


def test_try_it_answers_the_example(log_in: LogIn, keep_picture: KeepPicture, bucket: str) -> None:
    page, newest = log_in(), published(bucket).releases[0]

    page.goto(place(newest))
    frame = frame_of(page)
    frame.get_by_role("button", name=re.compile("^Ask version")).click()

    expect(frame.locator(".answer [data-answer] tr.most").first).to_be_visible(timeout=90_000)
    frame.locator("#try-it").scroll_into_view_if_needed()
    keep_picture(page, "try-it")


def test_viewer_sees_everything_and_can_do_nothing(
    log_in: LogIn, keep_picture: KeepPicture, bucket: str
) -> None:
    page, newest = log_in("viewer"), published(bucket).releases[0]

    page.goto(place(newest))
    frame = frame_of(page)
    expect(frame.get_by_role("heading", name="Restore ledger")).to_be_visible()
    keep_picture(page, "version-of-a-viewer")

    assert frame.get_by_role("group", name="Actions").count() == 0
    status = page.evaluate(
        """async (path) => (await fetch(path, {
            method: "POST", headers: {"Content-Type": "application/json"}, body: "{}"
        })).status""",
        f"/redraw/models/{MODEL}/{newest.version}/trial",
    )
    assert status == 403


def test_run_and_task_have_a_tab_of_what_they_left(
    log_in: LogIn, keep_picture: KeepPicture, bucket: str
) -> None:
    page, newest = log_in(), published(bucket).releases[0]
    assert newest.provenance.dag_run is not None
    dag, _, run = newest.provenance.dag_run.partition("/")

    page.goto(f"/dags/{dag}/runs/{run}")
    page.get_by_role("link", name="Redraw").click()
    expect(frame_of(page).get_by_role("link", name=str(newest.version)).first).to_be_visible()
    keep_picture(page, "run")
    page.goto(f"/dags/{dag}/runs/{run}/tasks/validate")
    page.get_by_role("link", name="Redraw", exact=True).click()
    expect(frame_of(page).get_by_text("weights-source")).to_be_visible()


@pytest.mark.parametrize("dark", [False, True])
def test_version_page_on_a_narrow_screen_never_scrolls_sideways(
    dark: bool, log_in: LogIn, keep_picture: KeepPicture, bucket: str
) -> None:
    page, newest = log_in(size=NARROW, dark=dark), published(bucket).releases[0]

    for name, path in {"version": f"/{MODEL}/{newest.version}", "model": f"/{MODEL}", "models": ""}.items():
        page.goto(f"/redraw/models{path}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert (
            page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
        )
        is_dark = page.evaluate("document.documentElement.classList.contains('dark')")
        assert is_dark == dark
        keep_picture(page, f"{name}-narrow{'-dark' if dark else ''}")


def test_reexport_form_offers_days_and_dates(
    log_in: LogIn, keep_picture: KeepPicture, asking_run: str
) -> None:
    page = log_in()

    page.goto("/dags/reexport_checkpoints")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    expect(form.get_by_text("Trained from", exact=True)).to_be_visible()
    expect(form.get_by_text("choose one", exact=True)).to_be_visible()
    expect(form.get_by_text("null", exact=True)).to_have_count(0)
    keep_picture(page, "reexport")
    form.get_by_text("Backfill", exact=True).first.click()

    expect(form.get_by_text("Run Backwards", exact=False).first).to_be_visible()
    keep_picture(page, "backfill")


@pytest.mark.parametrize(
    "dag",
    [
        "retrain_and_export",
        "validate_and_publish",
        "reexport_checkpoints",
        "roll_back_model",
        "prune_versions",
    ],
)
def test_texts_of_a_form_have_nothing_that_axe_finds_serious(dag: str, log_in: LogIn) -> None:
    page = log_in()
    page.goto(f"/dags/{dag}")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    sections = form.locator("button[data-part=item-trigger]")
    expect(sections.last).to_be_visible()
    form.evaluate("form => form.setAttribute('data-looked-at', '')")

    found = set[str]()
    for section in sections.all():
        if section.get_attribute("aria-expanded") == "false":
            section.click()
        expect(section).to_have_attribute("aria-expanded", "true")
        found |= set(find_serious(page, "[data-looked-at]", *OUR_TEXTS))
    assert found == set()


def test_approval_request_has_nothing_that_axe_finds_serious(
    log_in: LogIn,
    keep_picture: KeepPicture,
    asking_run: str,
    airflow_api: AirflowApi,
    until: Callable[..., None],
) -> None:
    def states() -> dict[str, str]:
        return {task.task_id: task.state for task in airflow_api.tasks(RETRAIN, asking_run)}

    until(lambda: states().get("approve") == "awaiting_input", "the question", 400, every=1, progress=states)
    page = log_in()
    page.goto(f"/dags/{RETRAIN}/runs/{quote(asking_run, safe='')}/tasks/approve/required_actions")
    body = page.get_by_text("checks passed.").locator("xpath=ancestor::*[.//table][1]")
    expect(body.get_by_role("link", name="Full report")).to_be_visible()
    body.evaluate("body => body.setAttribute('data-looked-at', '')")
    keep_picture(page, "approval")

    found = find_serious(page, "[data-looked-at]")
    # The DAG has one run at a time: another test's would wait.
    answer = {"chosen_options": ["Reject"], "params_input": {}}
    path = f"dags/{RETRAIN}/dagRuns/{quote(asking_run)}/taskInstances/approve/-1/hitlDetails"
    airflow_api._send("PATCH", path, answer)
    assert found == []


def test_connection_form_offers_the_model_bucket_and_its_fields(
    log_in: LogIn, keep_picture: KeepPicture
) -> None:
    page = log_in()

    page.goto("/connections")
    page.get_by_role("button", name="Add Connection").click()
    form = page.get_by_role("dialog")
    form.get_by_role("combobox").first.fill("Redraw model bucket")
    page.get_by_role("option", name="Redraw model bucket").click()
    form.get_by_role("button", name="Extra Fields", exact=True).click()

    expect(form.get_by_text("Model bucket", exact=True)).to_be_visible()
    expect(form.get_by_text("Checkpoint catalogue", exact=True)).to_be_visible()
    expect(form.get_by_text("Keyfile JSON", exact=True)).to_be_visible()
    keep_picture(page, "connection")
