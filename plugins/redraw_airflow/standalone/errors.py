"""The errors of the embedded default.

RedrawError
└── EmbeddedError               the machine, a service, or a task of the run; one line says which
"""

from __future__ import annotations

from redraw.errors import RedrawError


class EmbeddedError(RedrawError):
    """An expected failure of the embedded default.

    Attributes:
        details: Lines that show it, such as the end of a log.
    """

    def __init__(self, message: str, details: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.details = details
