"""Debian's Chromium before a running Airflow, logged in as one user or another.

Each picture that a test keeps lies in `.redraw/pictures`; `make screenshots` puts those that the
documentation shows where it finds them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, StorageState

from redraw_airflow.standalone.airflow_api import AirflowApi
from redraw_airflow.standalone.services import read_password
from redraw_airflow.standalone.settings import Settings
from tests.chromium import NARROW, SHOWN_BOUND, WIDE, chromium
from tests.paths import ROOT

__all__ = ["NARROW", "WIDE", "KeepPicture", "LogIn", "chromium"]

LogIn = Callable[..., Page]
KeepPicture = Callable[[Page, str], None]


@pytest.fixture(scope="session")
def embedded_settings(looked_at: Settings) -> Settings:
    """The instance that is looked at."""
    return looked_at


@pytest.fixture(scope="session")
def airflow_api(looking_api: AirflowApi) -> AirflowApi:
    """A client of its Airflow."""
    return looking_api


@pytest.fixture(scope="session")
def logged_in() -> dict[str, StorageState]:
    """What the browser keeps of each user who has logged in."""
    return {}


# For a test each: a page of Airflow's goes on drawing and asking as long as it is open, and takes a core.
@pytest.fixture
def log_in(
    chromium: Browser,
    embedded_settings: Settings,
    logged_in: dict[str, StorageState],
) -> Iterator[LogIn]:
    """Opens an empty page of somebody who is logged in: `log_in("viewer", size=NARROW, dark=True)`.

    The first of a user logs in by the form.
    """
    contexts: list[BrowserContext] = []

    def open_page(user: str = "admin", size: tuple[int, int] = WIDE, dark: bool = False) -> Page:
        context = chromium.new_context(
            base_url=embedded_settings.airflow_url,
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            storage_state=logged_in.get(user),
        )
        context.set_default_timeout(SHOWN_BOUND)
        contexts.append(context)
        page = context.new_page()
        if user not in logged_in:
            page.goto("/")
            page.locator("input[name=username]").fill(user)
            page.locator("input[name=password]").fill(read_password(embedded_settings, user))
            page.keyboard.press("Enter")
            page.get_by_text("Welcome", exact=True).wait_for()
            logged_in[user] = context.storage_state()
            page.goto("about:blank")
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def keep_picture() -> KeepPicture:
    """Keeps what a page shows: `keep_picture(page, "models")`."""
    folder = ROOT / ".redraw" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)

    def keep(page: Page, name: str) -> None:
        page.screenshot(path=folder / f"{name}.png", animations="disabled")

    return keep
