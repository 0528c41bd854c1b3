"""The Airflow that is looked at, and a browser that is on another site."""

from tests.browser.conftest import airflow_api, chromium, embedded_settings, log_in, logged_in

__all__ = ["airflow_api", "chromium", "embedded_settings", "log_in", "logged_in"]
