"""Run what users wrote: whatever it raises becomes one line that names it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from redraw.dependencies import naming_extras
from redraw.errors import InvalidDefinition, RedrawError

__all__ = ["running_user_code"]


@contextlib.contextmanager
def running_user_code(where: str) -> Iterator[None]:
    """Name the definition and the cause in whatever its code raises.

    Args:
        where: The definition, its method, and what the method was called for.

    Raises:
        RedrawError: The code raised one itself: it is left as it is.
        MissingDependency: It imports a library of an extra that is not installed.
        InvalidDefinition: Anything else that it raises.
    """
    try:
        with naming_extras():
            yield
    except RedrawError:
        raise
    except Exception as err:
        cause = " ".join(f"{type(err).__name__}: {err}".split())
        raise InvalidDefinition(f"{where} fails with {cause}. Correct the definition.") from err
