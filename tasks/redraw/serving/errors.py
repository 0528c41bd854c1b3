"""The errors of loading and asking a model.

None of them is a `RedrawError`: they are findings about the model, which checks report.
"""

from __future__ import annotations

# The worker's error code for `SandboxMissing`; TensorFlow has no code of that name.
NO_SANDBOX = "NO_SANDBOX"


class ServingFailure(Exception):
    """The model could not be loaded or asked; the message tells why."""


class LoadFailed(ServingFailure):
    """The C++ loader refuses the SavedModel."""


class OperationsRefused(LoadFailed):
    """The SavedModel has operations that are not allowed, so it was not loaded."""


class SandboxMissing(LoadFailed):
    """A sandbox was demanded, and this machine cannot keep a model from reading other files."""


class RequestRefused(ServingFailure):
    """The model answers a request with an error.

    Attributes:
        code: TensorFlow's name of the error, such as `INVALID_ARGUMENT`.
        message: TensorFlow's message.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class ServingCrashed(ServingFailure):
    """The serving process crashed, or did not answer in time and was ended."""
