"""Watch every address of every server, each in a thread, until all are confirmed or the time is up.

A server is asked again after 50 ms, 100 ms … and at most 1 s, so that a change is seen within 2 s. A name is
looked up again each second, because its servers may be replaced meanwhile.
"""

from __future__ import annotations

import contextvars
import functools
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from redraw.records.rollout import ServerRollout, ServerState
from redraw.rollout.addresses import Server
from redraw.rollout.client import BadAnswer, Client, NotReached, Question, Target, short_text
from redraw.rollout.golden import compare
from redraw.rollout.grpc_client import GrpcClient
from redraw.rollout.rest import KServeClient, RestClient
from redraw.rollout.vertex import VertexClient

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_LOOK_SECONDS, _ANSWER_SECONDS = 1.0, 30.0
# How long the other servers may still answer after one failed.
_GRACE_SECONDS = 2.0
# The record has only the newest versions that a server reports.
_MOST_VERSIONS = 100
_UNASKED = "no answer yet"
_FAILED = {"load_failed", "refused", "wrong_answer"}
_FINAL = {"confirmed", *_FAILED}
_BACK = "roll back: redraw live --previous."
_ADVICE: dict[ServerState, str] = {
    "confirmed": "",
    "loaded": "Wait longer with --timeout, or look at the server's log.",
    "loading": "Wait longer with --timeout, or look at the server's log.",
    "other_version": "Configure the server with models.config or with a mirrored copy, and check that it"
    " can read the bucket.",
    "unknown_model": "Add the model to the server's configuration. If the server uses another name, append"
    " it to the address: …:PORT/NAME.",
    "unreachable": "Start the server, or correct the address and the port.",
    "no_status": "Correct the port (gRPC and REST have different ports), and look at the server's log.",
    "stopped": f"Look at the log and the memory of the server, or {_BACK}",
    "load_failed": f"Look at the server's log, and {_BACK}",
    "refused": f"Look at the server's log, and {_BACK}",
    "wrong_answer": f"If the server's hardware rounds differently, raise --tolerance, or {_BACK}",
}
_CLIENTS: dict[str, Callable[[Server, str], Client]] = {
    "grpc": GrpcClient,
    "rest": RestClient,
    "kserve": KServeClient,
    "vertex": lambda server, address: VertexClient(server),
}


def connect(server: Server, address: str) -> Client:
    """A client for one address of a server."""
    return _CLIENTS[server.protocol](server, address)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the servers must show.

    Attributes:
        servers: The servers.
        model: The definition's name.
        version: The version that they must have.
        questions: The recorded requests that they must answer.
        tolerance: How much floats may differ.
        timeout: The time limit in seconds.
        connect: Makes a client for one address of a server.
    """

    servers: tuple[Server, ...]
    model: str
    version: int
    questions: tuple[Question, ...] = ()
    tolerance: float = 0.0
    timeout: float = 0.0
    connect: Callable[[Server, str], Client] = connect

    @property
    def expected(self) -> str:
        """What each server must show, for messages."""
        answering = ", answering as recorded" if self.questions else ""
        return f"version {self.version} of {self.model} loaded{answering}"


def watch(plan: Plan) -> tuple[ServerRollout, ...]:
    """Watch the servers.

    Args:
        plan: What they must show, and the time limit.

    Returns:
        The last state of each address, in the order of the servers.
    """
    return _Watch(plan).run()


_Key = tuple[Server, str]


class _Watch:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._results: dict[_Key, ServerRollout] = {}
        # How often a name got an address: results from before it was dropped do not count.
        self._turns = Counter[_Key]()
        self._changed = threading.Condition()
        self._ended = threading.Event()
        self._began = time.monotonic()
        self._error: Exception | None = None

    def run(self) -> tuple[ServerRollout, ...]:
        try:
            with self._changed:
                for server in self._plan.servers:
                    self._results[server, ""] = self._blank(server, "")
                    self._start(self._follow_name, server)
                self._wait()
                if self._error is not None:
                    raise self._error
                order = sorted(self._results, key=lambda key: (self._plan.servers.index(key[0]), key[1]))
                return tuple(self._results[key] for key in order)
        finally:
            self._ended.set()  # stops the threads

    def _wait(self) -> None:
        timeout = self._plan.timeout
        self._changed.wait_for(lambda: self._settled() or self._failed(), timeout)
        # Each is asked once, even if the time is short.
        self._changed.wait_for(lambda: self._settled() or self._all_asked(), _GRACE_SECONDS)
        if self._failed():
            remaining = self._began + timeout - time.monotonic()
            self._changed.wait_for(self._settled, max(0.0, min(_GRACE_SECONDS, remaining)))

    def _settled(self) -> bool:
        return self._error is not None or all(result.state in _FINAL for result in self._results.values())

    def _all_asked(self) -> bool:
        return all(result.received != _UNASKED for result in self._results.values())

    def _failed(self) -> bool:
        return any(result.state in _FAILED for result in self._results.values())

    def _start(self, function: Callable[..., None], *arguments: object) -> None:
        def run() -> None:
            try:
                function(*arguments)
            except Exception as err:  # a bug: raised by the thread that waits
                with self._changed:
                    self._error = err
                    self._changed.notify_all()

        # A daemon, because the look-up of a name cannot be interrupted. It shares this thread's credentials.
        target = contextvars.copy_context().run
        threading.Thread(target=target, args=(run,), daemon=True).start()

    def _blank(self, server: Server, address: str) -> ServerRollout:
        literal = f"[{address}]" if ":" in address else address
        return ServerRollout(
            server=server.text,
            address=f"{literal}:{server.port}" if address not in {"", server.host} else "",
            state="unreachable",
            expected=self._plan.expected,
            received=_UNASKED,
            advice=_ADVICE["unreachable"],
        )

    def _follow_name(self, server: Server) -> None:
        """Watch each address of a name, and drop addresses that the name no longer has."""
        while not self._ended.is_set():
            try:
                self._take_addresses(server, server.resolve())
            except OSError as err:
                unnamed = replace(
                    self._blank(server, ""), received=f"the name has no address: {short_text(err)}"
                )
                self._note((server, ""), 0, unnamed)
            self._ended.wait(_LONGEST_PAUSE)

    def _take_addresses(self, server: Server, addresses: tuple[str, ...]) -> None:
        with self._changed:
            current = {key[1] for key in self._results if key[0] == server}
            for address in current.difference(addresses):
                del self._results[server, address]
            for address in set(addresses) - current:
                self._results[server, address] = self._blank(server, address)
                self._turns[server, address] += 1
                self._start(self._follow, server, address, self._turns[server, address])
            self._changed.notify_all()

    def _note(self, key: _Key, turn: int, now: ServerRollout) -> bool:
        """Keep a result, unless the address was dropped or the time is up; returns whether to continue."""
        with self._changed:
            if self._ended.is_set() or key not in self._results or turn != self._turns[key]:
                return False
            self._results[key] = replace(
                now, advice=_ADVICE[now.state], seconds=time.monotonic() - self._began
            )
            self._changed.notify_all()
            return now.state not in _FINAL

    def _follow(self, server: Server, address: str, turn: int) -> None:
        client, last, pause = self._plan.connect(server, address), self._blank(server, address), _FIRST_PAUSE
        while True:
            note = functools.partial(self._note, (server, address), turn)
            last = self._ask(client, server.name or self._plan.model, last, note)
            if not note(last):
                return
            self._ended.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _ask(
        self, client: Client, model: str, last: ServerRollout, note: Callable[[ServerRollout], bool]
    ) -> ServerRollout:
        """Ask a server for its version once, and send the recorded requests if it has the version."""
        target = Target(model=model, version=self._plan.version)
        try:
            look = client.look(target, _LOOK_SECONDS)
        except NotReached as err:
            return _unanswered(last, err)
        except BadAnswer as err:
            return replace(last, state="no_status", received=str(err))
        versions = look.versions[-_MOST_VERSIONS:]
        now = replace(last, state=look.state, received=look.received, versions=versions)
        if look.state != "loaded":
            return now
        now = replace(now, loaded_seconds=now.loaded_seconds or time.monotonic() - self._began)
        note(replace(now, received=f"{look.received}, and no answer yet"))
        try:
            now = self._ask_questions(client, target, now)
            if now.state != "confirmed":
                return now
            # The server may have stopped or changed its version after the last answer.
            again = client.look(target, _LOOK_SECONDS)
            if again.state == "loaded":
                return now
            versions = again.versions[-_MOST_VERSIONS:]
            return replace(last, state=again.state, received=again.received, versions=versions)
        except NotReached as err:
            return _unanswered(now, err)
        except BadAnswer as err:
            return replace(now, state="refused", received=f"version {target.version} loaded, and {err}")

    def _ask_questions(self, client: Client, target: Target, now: ServerRollout) -> ServerRollout:
        compared, problems, largest = list[str](), list[str](), 0.0
        for question in self._plan.questions:
            answered = client.answer(target, question, _ANSWER_SECONDS)
            if answered is not None:
                different, error = compare(question, answered, self._plan.tolerance)
                problems += different
                largest = max(largest, error)
                compared.append(question.signature)
        if not (compared or now.versions):
            received = f"{now.received}; there are no recorded answers to compare"
            return replace(now, state="no_status", received=received)
        now = replace(now, compared=tuple(compared), largest_error=largest if compared else None)
        if problems:
            return replace(now, state="wrong_answer", received=short_text("; ".join(problems)))
        received = f"{now.received}, the same answers" if compared else now.received
        return replace(now, state="confirmed", received=received)


def _unanswered(last: ServerRollout, err: NotReached) -> ServerRollout:
    if last.loaded_seconds is None:
        return replace(last, state="unreachable", received=str(err))
    return replace(last, state="stopped", received=f"the version loaded, and then {short_text(err)}")
