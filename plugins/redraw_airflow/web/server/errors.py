"""The errors of the pages' worker processes.

RedrawError
├── WorkersBusy                 too many workers are running; a retry may help
├── WorkerOverran               a worker took too much time or memory, or its answer was too large
└── WorkerFailed                a worker ended without an answer and without a named error
"""

from redraw.errors import RedrawError


class WorkersBusy(RedrawError):
    """Too many workers are running."""

    retryable = True


class WorkerOverran(RedrawError):
    """A worker exceeded a limit and was stopped."""


class WorkerFailed(RedrawError):
    """A worker ended without an answer; the message has the last line that it wrote."""
