"""Read parts of files in a bucket in the order that is known, a few of them at a time.

A request to a bucket takes some 50 ms before its first byte comes, however small it is. What is
read one after the other waits for that as often as there are tensors.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

# What is in flight is in memory: six parts of 4 MiB fill a link of 480 MB/s at 50 ms each.
LARGEST_PART = 4 * 1024 * 1024
_IN_FLIGHT = 6

# A file's name, an offset and a size.
FilePart = tuple[str, int, int]


class ReadAhead:
    """Parts that will be asked for, read before they are.

    What is asked for out of order is read when it is asked for.
    """

    def __init__(self, read: Callable[[FilePart], bytes], parts: Iterable[FilePart] = ()) -> None:
        """Begin to read.

        Args:
            read: What reads one part; several threads call it.
            parts: What will be asked for, in that order; none larger than `LARGEST_PART`.
        """
        self._read = read
        self._parts = iter(parts)
        # Its threads end with the last part.
        self._pool = ThreadPoolExecutor(_IN_FLIGHT)
        self._in_flight: deque[tuple[FilePart, Future[bytes]]] = deque()
        self._fill()

    def read(self, wanted: FilePart) -> bytes:
        """A part's bytes; whatever `read` raises for it is raised here."""
        if all(part != wanted for part, _ in self._in_flight):
            return self._read(wanted)
        while True:
            part, content = self._in_flight.popleft()
            if part == wanted:
                self._fill()
                return content.result()
            content.cancel()

    def _fill(self) -> None:
        while len(self._in_flight) < _IN_FLIGHT:
            part = next(self._parts, None)
            if part is None:
                self._pool.shutdown(wait=False)
                return
            self._in_flight.append((part, self._pool.submit(self._read, part)))
