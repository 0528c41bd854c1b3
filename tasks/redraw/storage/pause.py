"""How long to wait before an object that others change is read again."""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable, Iterator

_ATTEMPTS = 12
_FIRST_SECONDS = 0.05
_LONGEST_SECONDS = 3.0


def pauses() -> Iterator[Callable[[], None]]:
    """One pause an attempt, twelve in all: each up to twice as long as the one before.

    Cloud Storage takes about one change a second of one object, so the later pauses
    are longer than that; chance keeps the writers from meeting again.

    Yields:
        What to call to wait.

    Source:
        https://cloud.google.com/storage/docs/objects#immutability
    """
    for attempt in range(_ATTEMPTS):
        longest = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2**attempt)
        seconds = random.uniform(longest / 2, longest)  # noqa: S311 - no secret hangs on it
        yield functools.partial(time.sleep, seconds)
