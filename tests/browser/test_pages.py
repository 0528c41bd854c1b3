"""What a person sees and does in Airflow. In order: each test goes on where the one before ended."""

from __future__ import annotations

import re

from playwright.sync_api import FrameLocator, Page, expect

from tests.browser.conftest import KeepPicture, LogIn


def frame_of(page: Page) -> FrameLocator:
    """The frame that holds Redraw's pages."""
    return page.frame_locator("iframe")


def test_navigation_models_leads_to_the_published_version(log_in: LogIn, keep_picture: KeepPicture) -> None:
    page = log_in()

    page.goto("/plugin/models")
    models = frame_of(page)
    models.get_by_role("link", name="mnist", exact=True).click()

    expect(models.get_by_text("live").first).to_be_visible()
    expect(page).to_have_url(re.compile(r"/plugin/models/redraw/models/mnist$"))
    keep_picture(page, "model")
