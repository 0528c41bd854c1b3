"""What can keep a worker of the pages from its answer.

RedrawError
├── WorkersBusy                 as many workers run as may (worth another try)
├── WorkerOverran               stopped: it took too long, or too much memory, or answered too much
└── WorkerFailed                it ended without an answer, and without an error that has a name
"""

from __future__ import annotations

from redraw.errors import RedrawError


class WorkersBusy(RedrawError):
    """As many workers run as may."""

    retryable = True


class WorkerOverran(RedrawError):
    """A worker was stopped at one of its limits."""


class WorkerFailed(RedrawError):
    """A worker ended without an answer; the message is the last line that it wrote."""
