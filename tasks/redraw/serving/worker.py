"""The process that holds TensorFlow's C++ runtime, and one model: `python -m redraw.serving.worker FD`.

It takes requests from the socket of the file descriptor and answers them one after the
other, until the other side is gone. Its standard output and error are the log. Before it loads
the model it gives up everything else, while it still has a single thread.
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

# What is needed once the files are out of reach is imported before.
from tensorboard.compat.proto import meta_graph_pb2  # noqa: F401

from redraw.serving.errors import NO_SANDBOX
from redraw.serving.library import StatusError, tensorflow_library
from redraw.serving.sandbox.enter import enter_sandbox
from redraw.serving.session import ModelSession
from redraw.serving.wire import receive, send

__all__: list[str] = []

_Arrays = dict[str, np.ndarray]
_Message = tuple[dict[str, Any], _Arrays]


class _Worker:
    def __init__(self, model: ModelSession) -> None:
        self._model = model

    def answer(self, header: Mapping[str, Any], arrays: _Arrays) -> _Message:
        """Do what a request asks; what TensorFlow refuses becomes part of the answer."""
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
        # The client is gone: nobody waits for the answer, even if TensorFlow is in the middle of one.
        os._exit(0)


def _main() -> None:
    connection = Connection(int(sys.argv[1]))
    try:
        send(connection, {"version": tensorflow_library().TF_Version().decode()}, {})
        header, _ = receive(connection)
    except (EOFError, OSError):
        return  # the client has no model
    sandbox = enter_sandbox(Path(header["folder"]))
    said = {"sandbox": {"layers": sandbox.layers, "missing": sandbox.missing}}
    if header["demand_sandbox"] and not sandbox.hides_files:
        send(connection, {**said, "error": {"code": NO_SANDBOX, "message": str(sandbox)}}, {})
        return
    requests: queue.Queue[_Message] = queue.Queue()
    threading.Thread(target=_read_requests, args=(connection, requests), daemon=True).start()
    started = time.monotonic()
    try:
        worker = _Worker(ModelSession(header["folder"], header["tags"]))
    except StatusError as err:
        send(connection, {"error": {"code": err.code, "message": err.message}}, {})
        return
    send(connection, {**said, "seconds": time.monotonic() - started}, {})
    while True:
        send(connection, *worker.answer(*requests.get()))


if __name__ == "__main__":
    _main()
