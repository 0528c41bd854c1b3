"""What can happen to a request between a client and the storage, and to which request it happens.

ARRIVED ─► SENDING ─► ACTED ─► ANSWERING
(nothing   (half of    (the storage    (half of
 passed)    the body)   did it)         the answer)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from tests.publishing.requests import Operation, StorageRequest

__all__ = ["Action", "Fault", "Flip", "Hang", "HangUp", "Kill", "Moment", "Refuse", "Wait"]


class Moment(Enum):
    """How far a request has come."""

    ARRIVED = auto()
    SENDING = auto()
    ACTED = auto()
    ANSWERING = auto()


@dataclass(frozen=True, kw_only=True)
class Refuse:
    """Answer with an error, before or after the storage did it (ARRIVED or ACTED)."""

    status: int
    message: str = "a fault of the test"


@dataclass(frozen=True, kw_only=True)
class HangUp:
    """End the connection: by a reset, or as if all had been said (a short read)."""

    reset: bool = True


@dataclass(frozen=True, kw_only=True)
class Hang:
    """Say nothing more until the client leaves."""


@dataclass(frozen=True, kw_only=True)
class Flip:
    """Alter one byte in the middle of what passes (SENDING or ANSWERING)."""


@dataclass(frozen=True, kw_only=True)
class Kill:
    """Call what kills the client, and see it leave."""

    function: Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Call what returns when the request may go on."""

    function: Callable[[], object]


Action = Refuse | HangUp | Hang | Flip | Kill | Wait


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens, when, and to which requests.

    Attributes:
        action: What happens.
        moment: How far the request has come then.
        operation: Only to requests of this kind; None for all.
        name: Only to requests whose object's name contains this.
        first: The number, from 1, of the first request that it happens to: among those
            of that kind and name.
        count: To how many of them in a row.
        once_each: Instead of `first` and `count`: to every one that was not made before.
    """

    action: Action
    moment: Moment = Moment.ARRIVED
    operation: Operation | None = None
    name: str = ""
    first: int = 1
    count: int = 1
    once_each: bool = False

    def concerns(self, request: StorageRequest) -> bool:
        """Whether the request is of that kind and name."""
        return self.operation in (None, request.operation) and self.name in request.name

    def strikes(self, earlier: list[StorageRequest], request: StorageRequest) -> bool:
        """Whether it happens to the request, after those that were made before it."""
        if not self.concerns(request):
            return False
        if self.once_each:
            return request not in earlier
        number = 1 + sum(self.concerns(other) for other in earlier)
        return self.first <= number < self.first + self.count
