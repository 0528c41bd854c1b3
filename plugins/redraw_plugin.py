"""The plugin for an Airflow whose plugins folder is this one; installed, an entry point names it."""

from redraw_airflow.plugin import RedrawPlugin

__all__ = ["RedrawPlugin"]
