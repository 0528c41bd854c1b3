"""The process with TensorFlow's C++ runtime and one model: `python -m redraw.serving.worker FD`.

It reads requests from the socket with that file descriptor and answers them one after another, until
the client ends. Its standard output and error are the log. Before it loads the model, while it still
has a single thread, it enters the sandbox.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

# Imported before the sandbox hides the files.
from tensorboard.compat.proto import meta_graph_pb2  # noqa: F401

from redraw.serving.errors import NO_SANDBOX
from redraw.serving.library import StatusError, tensorflow_library
from redraw.serving.sandbox.enter import enter_sandbox
from redraw.serving.session import ModelSession
from redraw.serving.wire import receive, send

_Arrays = dict[str, np.ndarray]
_Message = tuple[dict[str, Any], _Arrays]


class _Worker:
    def __init__(self, model: ModelSession) -> None:
        self._model = model

    def answer(self, header: Mapping[str, Any], arrays: _Arrays) -> _Message:
        """Run the command of a request; an error of TensorFlow becomes part of the answer."""
        model = self._model
        commands: Mapping[str, Callable[[], _Message]] = {
            "answer": lambda: ({}, model.answer(header["signature"], arrays)),
            "measure": lambda: (
                {"took": model.measure(header["signature"], arrays, header["seconds"])},
                {},
            ),
            "run": lambda: ({}, model.run(arrays, header["fetches"], header["targets"])),
            "variables": lambda: ({"digests": model.digest_variables()}, {}),
        }
        try:
            return commands[header["command"]]()
        except StatusError as err:
            return {"error": {"code": err.code, "message": err.message}}, {}


def _read_requests(connection: Connection, requests: queue.Queue[_Message]) -> None:
    try:
        while True:
            requests.put(receive(connection))
    except (EOFError, OSError):
        # The client has ended, so no one waits for an answer, even if TensorFlow is computing one.
        os._exit(0)


def _main() -> None:
    connection = Connection(int(sys.argv[1]))
    try:
        send(connection, {"version": tensorflow_library().TF_Version().decode()}, {})
        header, _ = receive(connection)
    except (EOFError, OSError):
        return  # the client ended without a model
    sandbox = enter_sandbox(Path(header["folder"]))
    in_force = {"sandbox": {"layers": sandbox.layers, "missing": sandbox.missing}}
    if header["demand_sandbox"] and not sandbox.hides_files:
        send(connection, {**in_force, "error": {"code": NO_SANDBOX, "message": str(sandbox)}}, {})
        return
    requests: queue.Queue[_Message] = queue.Queue()
    threading.Thread(target=_read_requests, args=(connection, requests), daemon=True).start()
    started = time.monotonic()
    try:
        worker = _Worker(ModelSession(header["folder"], header["tags"]))
    except StatusError as err:
        send(connection, {"error": {"code": err.code, "message": err.message}}, {})
        return
    send(connection, {**in_force, "seconds": time.monotonic() - started}, {})
    while True:
        send(connection, *worker.answer(*requests.get()))


if __name__ == "__main__":
    _main()
