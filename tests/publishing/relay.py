"""One client's connection through the proxy, with a connection of its own to the server.

Bodies pass in blocks, as they come, in both directions.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import select
import socket
import struct
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, cast

from tests.publishing.faults import Fault, Flip, Hang, HangUp, Kill, Moment, Refuse, Wait
from tests.publishing.features import as_multipart, run_batch, upload_checksums
from tests.publishing.requests import StorageRequest, permissions_by_bucket, read_request

if TYPE_CHECKING:
    from tests.publishing.proxy import FaultyProxy

__all__ = ["Relay"]

_BLOCK = 1 << 16
_LONGEST_SILENCE = 120.0
_OF_ONE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "expect"}
_RESET_WHEN_CLOSED = struct.pack("ii", 1, 0)
_LIST = "storage.objects.list"


class _Done(Exception):  # noqa: N818 - the way out of a request, not an error
    """The request has had all the answer that it gets."""


class _HungUp(_Done):
    """The connection ends with it."""


class Relay(BaseHTTPRequestHandler):
    """Passes requests on, unless the proxy's faults say otherwise."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Prepare for one connection."""
        super().setup()
        self._proxy = cast("FaultyProxy", self.server)
        self._upstream = http.client.HTTPConnection(*self._proxy.upstream, timeout=_LONGEST_SILENCE)
        self._fault: Fault | None = None
        self._unread = 0
        self._flip = False

    def finish(self) -> None:
        """The connection is over."""
        self._upstream.close()
        super().finish()

    def log_message(self, format: str, *arguments: object) -> None:
        """Keep the tests' output clean."""

    def do_GET(self) -> None:
        """Pass one request on, and its answer back."""
        size = self._unread = int(self.headers.get("Content-Length") or 0)
        beginning = cast(io.BufferedReader, self.rfile).peek(1) if size else b""
        request = read_request(self.command, self.path, size, beginning)
        self._fault = self._proxy.register(request)
        self._proxy.stopping.wait(self._proxy.latency)
        try:
            self._meet(Moment.ARRIVED)
            self._demand_permissions(request)
            if refusal := self._proxy.features.refusal(request):
                self._refuse(*refusal)
            if request.among:  # the server behind knows no other objects than those that are there
                self._meet(Moment.ACTED)
                self._say(200, self._proxy.features.listed(request, {}))
            if request.operation == "batch":
                self._batch(size)
            if request.operation == "delete":
                self._delete(request)
            with self._proxy.copies.turn(request) as known:
                if known is not None:
                    self._meet(Moment.SENDING)
                    self._meet(Moment.ACTED)
                    self._say(*known)
                self._send(size, self._unaltered(request, size))
                answer = self._upstream.getresponse()
            self._answer(request, answer)
        except _HungUp:
            self.close_connection = True
        except _Done:
            pass

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the handler's interface names them

    def _demand_permissions(self, request: StorageRequest) -> None:
        needed = permissions_by_bucket(request)
        if missing := {
            permission for bucket, permission in needed if not self._proxy.allows(bucket, permission)
        }:
            self._refuse(403, _forbidden(request, min(missing)))

    def _delete(self, request: StorageRequest) -> NoReturn:
        self._meet(Moment.SENDING)
        with self._proxy.features.deleting:
            refusal = self._proxy.features.delete(self._upstream, request)
        self._meet(Moment.ACTED)
        if refusal is not None:
            self._refuse(*refusal)
        self._meet(Moment.ANSWERING)
        self._respond(204, "application/json", b"")

    def _batch(self, size: int) -> NoReturn:
        if not self._proxy.features.batches:
            self._refuse(404, "Not Found")
        body = b"".join(self._in_halves(cast(BinaryIO, self.rfile), size, Moment.SENDING))
        self._unread = 0
        kind = self.headers["Content-Type"]
        with self._proxy.features.deleting:
            answered, content = run_batch(
                self._proxy.features, self._upstream, kind, body, self._proxy.refusal_in_batch
            )
        self._meet(Moment.ACTED)
        self._meet(Moment.ANSWERING)
        self._respond(200, answered, content)

    def _described(self, request: StorageRequest, content: bytes) -> bytes:
        """A listing as the real service writes it of such objects."""
        listing = self._proxy.features.listed(request, json.loads(content))
        for item in listing["items"]:
            if not self._proxy.checksums:
                del item["crc32c"]
        return json.dumps(listing).encode()

    def _unaltered(self, request: StorageRequest, size: int) -> bytes | None:
        """An upload as it arrived, if the proxy checks it as the real service does."""
        alone = self._proxy.features.media and "uploadType=media" in self.path
        checked = alone or not self._proxy.altering
        if not checked or request.operation not in ("create", "replace"):
            return None
        body = b"".join(self._in_halves(cast(BinaryIO, self.rfile), size, Moment.SENDING))
        self._unread = 0
        self._proxy.count(sent=size)
        kind, hashes = self.headers["Content-Type"], self.headers.get("X-Goog-Hash")
        declared, found = upload_checksums(kind, hashes, body)
        if declared != found:
            self._refuse(400, f'Provided CRC32C "{declared}" doesn\'t match calculated CRC32C "{found}".')
        if alone:  # which the server behind holds to nothing
            self.path, kind, body = as_multipart(self.path, declared, body)
            self.headers.replace_header("Content-Type", kind)
            self.headers.replace_header("Content-Length", str(len(body)))
        return body

    def _send(self, size: int, body: bytes | None) -> None:
        """The request to the server; half of its body may be all that gets there."""
        self._upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for key, value in self.headers.items():
            if key.lower() not in _OF_ONE_CONNECTION:
                self._upstream.putheader(key, value)
        self._upstream.endheaders(body)
        if body is not None:
            return
        try:
            for block in self._in_halves(cast(BinaryIO, self.rfile), size, Moment.SENDING):
                self._unread -= len(block)
                self._proxy.count(sent=len(block))
                self._upstream.send(block)
        except BaseException:
            self._upstream.close()  # the server sees half a body, and no end of it
            raise

    def _answer(self, request: StorageRequest, answer: http.client.HTTPResponse) -> None:
        """The answer to the client; half of its body may be all that gets there."""
        body: BinaryIO = cast(BinaryIO, answer)
        size = answer.length
        acted = self._fault is not None and self._fault.moment is Moment.ACTED
        if acted or size is None:  # in chunks: its length has to be known before it is passed on
            content = answer.read()
            body, size = io.BytesIO(content), len(content)
        if request.operation == "list" and answer.status == 200:
            content = self._described(request, body.read())
            body, size = io.BytesIO(content), len(content)
        self._meet(Moment.ACTED)
        if answer.status == 404 and not self._proxy.allows(request.bucket, _LIST):
            # So the real service hides what is not there from those who may not list.
            answer.read()
            self._refuse(403, _forbidden(request, _LIST))
        self.send_response_only(answer.status, answer.reason)
        for key, value in answer.getheaders():
            if key.lower() not in {*_OF_ONE_CONNECTION, "content-length"}:
                self.send_header(key, value)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        for block in self._in_halves(body, size, Moment.ANSWERING):
            self.wfile.write(block)
            if request.operation == "read":
                self._proxy.count(fetched=len(block))
        answer.read()  # nothing is left; the connection is free for the next request

    def _in_halves(self, source: BinaryIO, size: int, moment: Moment) -> Iterator[bytes]:
        """A body block by block; half-way, what is to happen then happens."""
        yield from _blocks(source, size // 2)
        self._meet(moment)
        for block in _blocks(source, size - size // 2):
            yield bytes([block[0] ^ 0xFF]) + block[1:] if self._flip else block
            self._flip = False

    def _meet(self, moment: Moment) -> None:
        """Let happen what is to happen at that moment."""
        if self._fault is None or self._fault.moment is not moment:
            return
        match self._fault.action:
            case Refuse(status=status, message=message):
                self._refuse(status, message)
            case HangUp(reset=reset):
                self._hang_up(reset=reset)
            case Hang():
                self._wait_until_alone()
            case Kill(function=kill):
                kill()
                self._wait_until_alone()
            case Wait(function=wait):
                wait()
            case Flip():
                self._flip = True

    def _refuse(self, status: int, message: str) -> NoReturn:
        self._say(status, {"error": {"code": status, "message": message}})

    def _say(self, status: int, answer: dict[str, Any]) -> NoReturn:
        """Answer in the server's place."""
        for _ in _blocks(cast(BinaryIO, self.rfile), self._unread):
            pass
        self._respond(status, "application/json", json.dumps(answer).encode())

    def _respond(self, status: int, kind: str, content: bytes) -> NoReturn:
        self.send_response_only(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        raise _Done

    def _hang_up(self, *, reset: bool) -> NoReturn:
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_WHEN_CLOSED)
            os.close(self.connection.detach())
        raise _HungUp

    def _wait_until_alone(self) -> NoReturn:
        """Say nothing until the client has left, or the proxy ends."""
        leaving = select.poll()
        leaving.register(self.connection, select.POLLRDHUP)
        while not self._proxy.stopping.is_set() and not leaving.poll(20):
            pass
        self._hang_up(reset=True)


def _blocks(source: BinaryIO, size: int) -> Iterator[bytes]:
    """The next bytes of a body, as many as that."""
    while size:
        block = source.read(min(size, _BLOCK))
        if not block:
            raise _HungUp  # the other side has gone
        size -= len(block)
        yield block


def _forbidden(request: StorageRequest, permission: str) -> str:
    """In the words of the real service."""
    where = f"the Google Cloud Storage {'object' if request.name else 'bucket'}"
    return f"redraw@test.iam.gserviceaccount.com does not have {permission} access to {where}."
