"""A proxy on loopback, in front of a storage server, that makes faults and counts requests.

Links in the server's answers (a resumable upload's session, `mediaLink`) lead past it, for it
changes no content unasked.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import ThreadingHTTPServer

from tests.publishing.copies import CopyRules
from tests.publishing.faults import Fault, Refuse
from tests.publishing.features import Features
from tests.publishing.relay import Relay
from tests.publishing.requests import StorageRequest

__all__ = ["FaultyProxy", "run_proxy"]


class FaultyProxy(ThreadingHTTPServer):
    """The proxy; what it does may be changed while it runs.

    Attributes:
        upstream: Host and port of the server behind it.
        faults: What happens to whom; of several that fit a request, the first.
        latency: Seconds that every request waits before it is passed on.
        granted: The IAM permissions of anyone who asks, in all buckets or by bucket; None for all there are.
        checksums: Whether listings have checksums; those of objects under a customer's key have none.
        features: What the buckets have.
        altering: Whether the server takes content that is not what its checksum says, as the one behind does.
        copies: What holds copies to their precondition.
        requests: Every request so far, in the order of arrival.
        sent: Bytes of the objects' content that clients sent, as far as they came.
        fetched: The same that clients were answered with.
        errors: What went wrong in the proxy itself: nothing should.
        stopping: Set when it ends, for those who wait within it.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), Relay)
        host, _, port = upstream.removeprefix("http://").partition(":")
        self.upstream = (host, int(port))
        self.faults: list[Fault] = []
        self.latency = 0.0
        self.granted: frozenset[str] | Mapping[str, frozenset[str]] | None = None
        self.checksums = True
        self.features = Features()
        self.altering = True
        self.copies = CopyRules(self.upstream)
        self.requests: list[StorageRequest] = []
        self.sent = self.fetched = 0
        self.errors: list[Exception] = []
        self.stopping = threading.Event()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where it listens: the client's STORAGE_EMULATOR_HOST."""
        return f"http://127.0.0.1:{self.server_port}"

    def register(self, request: StorageRequest) -> Fault | None:
        """Take down a request that has arrived; return what shall happen to it."""
        with self._lock:
            striking = (fault for fault in self.faults if fault.strikes(self.requests, request))
            fault = next(striking, None)
            self.requests.append(request)
        return fault

    def refusal_in_batch(self, request: StorageRequest) -> tuple[int, str] | None:
        """Status and message with which a deletion in a batch is refused, as one on its own would be."""
        for fault in self.faults:
            refuse = fault.action
            if fault.operation == "delete" and isinstance(refuse, Refuse) and fault.concerns(request):
                return refuse.status, refuse.message
        return None

    def allows(self, bucket: str, permission: str) -> bool:
        """Whether anyone who asks has a permission in a bucket."""
        granted = self.granted
        if isinstance(granted, Mapping):
            granted = granted.get(bucket, frozenset())
        return granted is None or permission in granted

    def count(self, *, sent: int = 0, fetched: int = 0) -> None:
        """Count bytes of content that passed."""
        with self._lock:
            self.sent += sent
            self.fetched += fetched

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep what a request's thread raised, to be shown in the end."""
        error = sys.exception()
        # Clients that leave are what the tests are about.
        if isinstance(error, Exception) and not isinstance(error, ConnectionError):
            self.errors.append(error)


@contextmanager
def run_proxy(upstream: str) -> Iterator[FaultyProxy]:
    """A proxy in front of the server at that URL, for as long as the context lasts."""
    with FaultyProxy(upstream) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.stopping.set()
            proxy.shutdown()
            thread.join()
    if proxy.errors:
        raise ExceptionGroup("in the proxy", proxy.errors)
