"""How asking a model may go wrong.

None of these is an error of Redraw: they are findings, and a check turns each into one.
"""

from __future__ import annotations

# The worker's code of `SandboxMissing`; TensorFlow has none of that name.
NO_SANDBOX = "NO_SANDBOX"


class ServingFailure(Exception):
    """The model does not do what was asked of it; the message says why."""


class LoadFailed(ServingFailure):
    """The C++ loader refuses the SavedModel."""


class OperationsRefused(LoadFailed):
    """The SavedModel holds operations that no model may hold: it is not loaded."""


class SandboxMissing(LoadFailed):
    """This machine cannot keep a model from reading other files, and that was demanded."""


class RequestRefused(ServingFailure):
    """The model answers a request with an error.

    Attributes:
        code: TensorFlow's name of the error, such as `INVALID_ARGUMENT`.
        message: What it says.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class ServingCrashed(ServingFailure):
    """The process died of the request, or did not answer in time and was ended."""
