"""Pauses between tries to change an object that others change, too."""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable, Iterator

_ATTEMPTS = 12
_FIRST_SECONDS = 0.05
_LONGEST_SECONDS = 3.0


def pauses() -> Iterator[Callable[[], None]]:
    """One pause for each of twelve attempts, each up to twice as long as the one before.

    Cloud Storage accepts about one change of an object per second, so the later pauses are longer than that;
    random lengths keep the writers apart.

    Yields:
        A function that waits.

    Source:
        https://cloud.google.com/storage/docs/objects#immutability
    """
    for attempt in range(_ATTEMPTS):
        longest = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2**attempt)
        seconds = random.uniform(longest / 2, longest)  # noqa: S311 - not for a secret
        yield functools.partial(time.sleep, seconds)
