"""The one Airflow that `make run` started, and a browser that is on another site."""

from tests.browser.conftest import chromium, log_in, logged_in

__all__ = ["chromium", "log_in", "logged_in"]
